"""What is said of X-Ray beside its sampling."""

from __future__ import annotations

from svcready.config import load


def test_a_log_group_is_what_cloudwatch_allows() -> None:
    """1 to 512 of its characters; a group of AWS's own may be named, odd ones not."""
    good = "/aws/lambda/shop,shop_2.eu-west#1," + "g" * 512
    read = load(environ={"SVCREADY_XRAY_LOG_GROUPS": good})
    assert read.xray.log_groups == tuple(good.split(","))
    assert not read.problems

    for odd in ("shop:*", "a b", "g" * 513, "arn:aws:logs:eu-west-1:1:log-group:shop"):
        read = load(environ={"SVCREADY_XRAY_LOG_GROUPS": f"shop,{odd}"})
        assert read.xray.log_groups == ("shop",)
        assert [it.name for it in read.problems] == ["SVCREADY_XRAY_LOG_GROUPS"]
