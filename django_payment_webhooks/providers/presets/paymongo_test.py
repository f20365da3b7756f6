"""PayMongo: the webhooks of the test mode.

The preset ``paymongo`` with the other signature:
https://developers.paymongo.com/docs/securing-webhook. Only ``te`` is read: a webhook of the live
mode, with the same secret or another, proves nothing here.
"""

from . import paymongo


class Preset(paymongo.Preset):
    """PayMongo signs webhooks of the test mode as ``te``."""

    signature_template = "t={timestamp},te={signature},li="
