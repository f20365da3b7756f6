"""What the shop knows: orders, refunds, disputes, and a ledger of every effect."""

from django.db import models


class Order(models.Model):
    """Something that was bought. Its id is the ``order_id`` of the provider's events."""

    NEW = "new"
    PAID = "paid"

    id = models.CharField(max_length=64, primary_key=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    currency = models.CharField(max_length=3)
    status = models.CharField(max_length=8, default=NEW)
    paid_at = models.DateTimeField(null=True, blank=True)

    def __str__(self):
        return f"order {self.id}"


class Refund(models.Model):
    """Money that went back to the buyer. There can be several for one order."""

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="refunds")
    refund_id = models.CharField(max_length=255)
    amount = models.DecimalField(max_digits=12, decimal_places=2)

    def __str__(self):
        return f"refund {self.refund_id}"


class Dispute(models.Model):
    """A buyer who wants the money back from the bank."""

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="disputes")
    dispute_id = models.CharField(max_length=255)

    def __str__(self):
        return f"dispute {self.dispute_id}"


class LedgerEntry(models.Model):
    """One row for each effect.

    It has no unique constraint on purpose: an effect that happens twice would show.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=16)
    order = models.ForeignKey(Order, on_delete=models.PROTECT)
    reference = models.CharField(max_length=255, blank=True)
    amount = models.DecimalField(max_digits=12, decimal_places=2, null=True)

    class Meta:
        verbose_name_plural = "ledger entries"

    def __str__(self):
        return f"{self.kind} {self.reference}"
