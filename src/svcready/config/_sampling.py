"""How settings say what is sampled: rates, and the samplers of OpenTelemetry."""

from __future__ import annotations

from typing import NamedTuple

from svcready.config._kinds import RATIO, Kind, choice, number

__all__ = [
    "MAX_PER_SECOND",
    "SAFE_RATE",
    "SAMPLER",
    "SAMPLER_RATIO",
    "SAMPLER_TRUST",
    "SAMPLING",
    "TRUST",
    "SamplingRate",
    "parse_sampling",
]

MAX_PER_SECOND = 1e6


class SamplingRate(NamedTuple):
    """How many of the requests that nobody decided about are sampled."""

    per_second: float
    """So many each second are sampled first (the reservoir); 0 for none."""
    ratio: float | None
    """The part of the others that is sampled; None: what the setting `ratio` says."""
    central: bool = False
    """X-Ray's central rules are asked for; the rest counts while there are none."""

    def __str__(self) -> str:
        """Write it as a variable does."""
        parts = [f"{self.per_second:g}/s"] if self.per_second else []
        if self.ratio or not parts:
            parts.append("ratio" if self.ratio is None else f"{self.ratio * 100:g}%")

        return "+".join(parts)


_XRAY_RATIO = 0.05
SAFE_RATE = SamplingRate(1.0, _XRAY_RATIO)
"""What X-Ray samples where nobody said anything; never more by mistake."""


def parse_sampling(raw: object) -> SamplingRate:
    """
    Read `100%`, `0.05`, `5%`, `2/s` or `1/s+5%`.

    Raises:
        ValueError: It is none of these; nothing is guessed, least of all 100 %.
    """
    if isinstance(raw, SamplingRate):
        return raw

    if not isinstance(raw, str):
        return SamplingRate(0.0, RATIO.parse(raw))

    reservoirs: list[float] = []
    ratios: list[float] = []
    for part in raw.split("+"):
        text = part.strip()
        if text.endswith("/s"):
            reservoirs.append(_RESERVOIR.parse(text[:-2].strip()))
        else:
            ratios.append(RATIO.parse(text))

    if len(reservoirs) > 1 or len(ratios) > 1:
        raise ValueError(raw)

    return SamplingRate(sum(reservoirs), sum(ratios))


def _parse_sampler(raw: object) -> SamplingRate:
    word = str(raw).strip().lower().removeprefix("parentbased_")
    if word == "always_on":
        return SamplingRate(0.0, 1.0)

    if word == "always_off":
        return SamplingRate(0.0, 0.0)

    if word == "traceidratio":
        return SamplingRate(0.0, None)

    if word == "xray":
        return SAFE_RATE._replace(central=True)

    raise ValueError(raw)


def _parse_sampler_ratio(raw: object) -> float:
    text = str(raw).strip()
    keys = {pair.partition("=")[0].strip() for pair in text.split(",") if "=" in pair}
    if keys and keys <= {"endpoint", "polling_interval"}:
        return _XRAY_RATIO  # the arguments of another sampler, `xray`

    return RATIO.parse(raw)


def _parse_sampler_trust(raw: object) -> str:
    # A sampler that is not parent-based decides whatever the caller says. Words that
    # are no sampler are reported once, by the setting `sampling`.
    word = str(raw).strip().lower()
    return "sampled-flag-ignored" if word in _PARENTLESS else "always"


_RESERVOIR = number(0, MAX_PER_SECOND)
_PARENTLESS = {"always_on", "always_off", "traceidratio"}
SAMPLING = Kind(
    "sampling",
    parse_sampling,
    "100%, 0.05, 5%, 2/s or 1/s+5%",
    show=str,
)
SAMPLER = Kind(
    "sampler",
    _parse_sampler,
    "[parentbased_]always_on | always_off | traceidratio, or xray",
    show=str,
)
SAMPLER_RATIO = Kind(
    "ratio",
    _parse_sampler_ratio,
    f"{RATIO.allowed}; or endpoint=URL,polling_interval=SECONDS",
    show=RATIO.show,
)
TRUST = choice("always", "never", "sampled-flag-ignored")
SAMPLER_TRUST = Kind("sampler", _parse_sampler_trust, SAMPLER.allowed)
