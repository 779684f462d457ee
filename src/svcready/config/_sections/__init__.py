"""The sections of the configuration, one file each: the settings of one part."""

from __future__ import annotations

from svcready.config._sections.admin import AdminSettings
from svcready.config._sections.audit import AuditSettings
from svcready.config._sections.cloudwatch import CloudwatchSettings
from svcready.config._sections.core import CoreSettings
from svcready.config._sections.health import HealthSettings
from svcready.config._sections.http import HttpSettings
from svcready.config._sections.lifecycle import LifecycleSettings
from svcready.config._sections.log import LogSettings
from svcready.config._sections.metrics import MetricsSettings
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.prometheus import PrometheusSettings
from svcready.config._sections.resilience import ResilienceSettings
from svcready.config._sections.service import ServiceSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.config._sections.xray import XraySettings

__all__ = [
    "SECTIONS",
    "AdminSettings",
    "AuditSettings",
    "CloudwatchSettings",
    "CoreSettings",
    "HealthSettings",
    "HttpSettings",
    "LifecycleSettings",
    "LogSettings",
    "MetricsSettings",
    "OtlpSettings",
    "PrometheusSettings",
    "ResilienceSettings",
    "ServiceSettings",
    "TracingSettings",
    "XraySettings",
]

SECTIONS = (
    CoreSettings,
    ServiceSettings,
    LogSettings,
    AuditSettings,
    MetricsSettings,
    CloudwatchSettings,
    PrometheusSettings,
    TracingSettings,
    XraySettings,
    OtlpSettings,
    HealthSettings,
    LifecycleSettings,
    ResilienceSettings,
    HttpSettings,
    AdminSettings,
)
"""Every section, in the order in which reports and the reference show them."""
