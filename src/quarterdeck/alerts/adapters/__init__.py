"""The registry: kind -> module:class. A new channel is one file beside this and one line here."""

from importlib import import_module

from quarterdeck.alerts.ports import ChannelFactory
from quarterdeck.core.errors import ConfigError

CHANNELS = {
    "webhook": "quarterdeck.alerts.adapters.webhook:WebhookChannel",
    "slack": "quarterdeck.alerts.adapters.slack:SlackChannel",
    "pagerduty": "quarterdeck.alerts.adapters.pagerduty:PagerdutyChannel",
    "email": "quarterdeck.alerts.adapters.email:EmailChannel",
    "apprise": "quarterdeck.alerts.adapters.apprise:AppriseChannel",
    "alertmanager": "quarterdeck.alerts.adapters.alertmanager:AlertmanagerChannel",
}

EXTRAS = {"apprise": "apprise"}
"""The extra of the package that holds a channel's library, where it needs one."""


def channel_factory(kind: str) -> ChannelFactory:
    """The class that builds channels of this kind.

    Raises:
        ConfigError: no such kind, or its library is not installed.
    """
    if kind not in CHANNELS:
        raise ConfigError(f"there is no channel kind '{kind}'; known are {', '.join(CHANNELS)}")
    module, _, name = CHANNELS[kind].partition(":")
    try:
        factory: ChannelFactory = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if kind not in EXTRAS or (error.name or "").startswith("quarterdeck"):
            raise
        raise ConfigError(
            f"the channel kind '{kind}' needs a library; run: "
            f"pip install 'quarterdeck[{EXTRAS[kind]}]'"
        ) from error
    return factory
