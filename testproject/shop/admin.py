"""The shop's admin: an order's price can be corrected, everything else is only read."""

from django.contrib import admin

from .models import Dispute, LedgerEntry, Order, Refund


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders. Only the provider's events mark them as paid."""

    list_display = ["id", "status", "amount", "currency", "paid_at"]
    list_filter = ["status", "currency"]
    search_fields = ["id"]
    readonly_fields = ["status", "paid_at"]

    def get_readonly_fields(self, request, obj=None):
        """Return what can't be changed: an order with another id would be another order."""
        return self.readonly_fields + (["id"] if obj else [])

    def has_delete_permission(self, request, obj=None):
        """Refuse: money may depend on it."""
        return False


class ReadOnlyAdmin(admin.ModelAdmin):
    """What only the handlers write."""

    list_select_related = ["order"]

    def get_readonly_fields(self, request, obj=None):
        """Return all fields."""
        return [field.name for field in self.model._meta.fields]

    def has_add_permission(self, request):
        """Refuse: it comes from an event."""
        return False

    def has_delete_permission(self, request, obj=None):
        """Refuse: it comes from an event."""
        return False


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """Refunds."""

    list_display = ["refund_id", "order", "amount"]
    search_fields = ["refund_id", "order__id"]


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    """Disputes."""

    list_display = ["dispute_id", "order"]
    search_fields = ["dispute_id", "order__id"]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    """The ledger."""

    list_display = ["id", "kind", "order", "reference", "amount"]
    list_filter = ["kind"]
    search_fields = ["reference", "order__id"]
