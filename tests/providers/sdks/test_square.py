"""Square's SDK verifies."""

from .judge import Judge, load_sdk, read

webhooks_helper = load_sdk("square.utils.webhooks_helper")


class TestSquare(Judge):
    options = {"URL": "https://shop.example/webhooks/square?shop=1"}

    def verify(self, webhook, secret):
        return webhooks_helper.verify_signature(
            request_body=webhook.body.decode(),
            signature_header=read(webhook, "x-square-hmacsha256-signature"),
            signature_key=secret,
            notification_url=self.options["URL"],
        )

    def test_both_refuse_what_was_signed_for_another_address(self):
        webhook = self.send()
        assert self.is_accepted(webhook) and self.is_accepted_by_sdk(webhook)
        self.options = {"URL": "https://shop.example/webhooks/square"}
        assert not self.is_accepted(webhook)
        assert not self.is_accepted_by_sdk(webhook)
