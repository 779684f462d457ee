"""Tokens that begin as their issuer has them begin: GitHub's, Slack's, Stripe's."""

from __future__ import annotations

import re
from functools import cache

from svcready._core._redaction_pairs import marker

__all__ = [
    "find_dashed",
    "find_dotted",
    "find_tilde",
    "find_underscored",
    "has_vendor_token",
    "replace_links",
    "replace_twilio",
    "replace_vendors",
]

_FREE = r"(?:(?<![A-Za-z0-9])|(?<=%[0-9A-Fa-f]{2})|(?<=\\[nrt]))"
_TOKENS = {
    "github-token": r"gh[pousr]_[A-Za-z0-9]{30,}+|github_pat_[A-Za-z0-9_]{22,}+",
    "gitlab-token": r"gl(?:pat|ptt|rt|dt|cbt|oas|soat|ffct|imt|agent)-[\w\-.]{20,}+",
    "slack-token": r"xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9\-]{16,}+"
    r"|xapp-[0-9]-[A-Za-z0-9\-]{16,}+",
    "stripe-key": _FREE + r"[sr]k_(?:live|test|prod)_[A-Za-z0-9]{16,}+"
    r"|whsec_[A-Za-z0-9+/=]{24,}+",
    "google-key": r"AIza[\w\-]{35}|GOCSPX-[\w\-]{20,}+|"
    + _FREE
    + r"ya29\.[\w\-]{20,}+",
    "npm-token": _FREE + r"npm_[A-Za-z0-9]{36}",
    "pypi-token": r"pypi-AgE[\w\-]{50,}+",
    "sendgrid-key": _FREE + r"SG\.[\w\-]{16,32}\.[\w\-]{16,64}",
    "openai-key": _FREE + r"sk-(?:proj|svcacct|admin|None)-[\w\-]{16,}+"
    r"|" + _FREE + r"sk-[A-Za-z0-9]{32,}+",
    "anthropic-key": _FREE + r"sk-ant-[\w\-]{16,}+",
    "databricks-token": _FREE + r"dapi[0-9a-f]{32}(?:-[0-9])?",
    "vault-token": _FREE + r"hv[sbr]\.[\w\-]{20,}+",
    "shopify-token": _FREE + r"shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",
    "digitalocean-token": _FREE + r"do[opr]_v1_[0-9a-f]{64}",
    "huggingface-token": _FREE + r"hf_[A-Za-z0-9]{30,}+",
    "grafana-token": _FREE + r"gl(?:sa|c)_[\w+/=]{32,}+",
    "groq-key": _FREE + r"gsk_[A-Za-z0-9]{40,}+",
    "atlassian-token": r"ATATT3[\w\-=]{50,}+",
    "mailgun-key": _FREE + r"key-[0-9a-f]{32}(?![0-9a-f])",
    "azure-secret": r"(?<![\w.~\-])[A-Za-z0-9_.~]{3}[0-9]Q~[\w.~\-]{31,34}",
}
"""By rule: how the tokens look, as their issuers and secret scanners describe them."""

# Each begins with its sign, so that the search leaps from sign to sign.
_RUN = r"(?=[A-Za-z0-9_\-]{16})"
find_underscored = re.compile(
    "_" + _RUN + "(?<=hp_|ho_|hu_|hs_|hr_|at_|ve_|st_|od_|pm_|ca_|pa_|ss_|v1_|hf_|sk_"
    "|sa_|lc_|ec_)"
).search
find_dashed = re.compile(
    "-(?:(?<=[stopkyriX]-)(?<=at-|tt-|rt-|dt-|bt-|as-|ct-|mt-|nt-|xo-|xp-|xr-|xs-|pp-"
    "|PX-|pi-|sk-|ey-)|(?<=ox[abce]-))" + _RUN
).search
find_dotted = re.compile(
    r"\.(?<=[Gsbr9ep]\.)(?<=SG\.|vs\.|vb\.|vr\.|29\.|xe\.|xp\.)" + _RUN
).search
find_tilde = re.compile(r"~(?<=[0-9]Q~)[\w.~\-]{16}").search
_LINKS = re.compile(
    r"(hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/)[\w/+\-]{16,}+"
    r"|(discord(?:app)?\.com/api/(?:v[0-9]{1,2}/)?webhooks/[0-9]{1,20}/)[\w\-]{30,}+"
    r"|(\.webhook\.office\.com/webhookb2/)[\w@\-]{30,}+(?:/[\w\-]++)*+"
    r"|(/bot)[0-9]{6,12}:[\w\-]{30,}+",
    re.IGNORECASE,
)
_TWILIO = re.compile(r"(?<![A-Za-z0-9])SK[0-9a-f]{32}(?![A-Za-z0-9])")


def has_vendor_token(text: str) -> bool:
    """Tell whether *text* may have a token with a sign in its beginning."""
    return bool(
        find_underscored(text)
        or find_dashed(text)
        or find_dotted(text)
        or find_tilde(text)
    )


def replace_vendors(text: str) -> str:
    """Hide tokens that begin as their issuer has them begin."""
    return _forms().sub(_hide, text)


def replace_links(text: str) -> str:
    """Hide what makes the URL of a webhook or a bot a secret."""
    hidden = marker("webhook")
    return _LINKS.sub(lambda m: f"{next(filter(None, m.groups()))}{hidden}", text)


def replace_twilio(text: str) -> str:
    """Hide Twilio's API keys, which look like any id: for texts that name Twilio."""
    return _TWILIO.sub(marker("twilio-key"), text)


def _hide(match: re.Match[str]) -> str:
    return marker((match.lastgroup or "").replace("_", "-"))


@cache
def _forms() -> re.Pattern[str]:
    # Compiled when a text first needs it: it is dear, and no import should pay for it.
    forms = (f"(?P<{rule.replace('-', '_')}>{form})" for rule, form in _TOKENS.items())
    return re.compile("|".join(forms))
