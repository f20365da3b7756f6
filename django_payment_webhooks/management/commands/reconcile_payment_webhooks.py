"""``manage.py reconcile_payment_webhooks``."""

from __future__ import annotations

import csv
import json
from typing import Any

from ...operations.backfill.paging import Pace
from ...operations.backfill.periods import Period
from ...operations.backfill.reconciliation import CHARGE, WORDS, Difference, Reconciliation
from ...providers.escaping import escape, escape_cell
from ..filters import check_type
from ..listing import FOUND, NOTHING, ListCommand
from ..terminal import read_text


class Command(ListCommand):
    """Compare a provider's payments with ours."""

    help = (
        "Compare payments with the provider: ask it for its payments of a period, by the source "
        "that PAYMENT_WEBHOOKS_SOURCES names, and report which of them are paid there and not "
        "here, here and not there, or have another amount or currency. Nothing is changed. Exits "
        "with 0 if nothing differs, with 1 if something does, and with 2 if the list could not be "
        "read to its end."
    )
    advice = "Nothing was changed. Run the same command again."
    noun = "payments"

    def add_arguments(self, parser: Any) -> None:
        """Add the options."""
        self.add_list_arguments(parser)
        add = parser.add_argument
        text = "a type of event that means that something was paid; may be repeated (default: "
        text += f"{CHARGE})"
        add("--type", type=read_text, action="append", default=[], metavar="TYPE", help=text)
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print the result as JSON")
        text = "print the differences as CSV, safe for spreadsheets"
        form.add_argument("--csv", action="store_true", help=text)

    def work(self, period: Period, pace: Pace, options: dict[str, Any]) -> int:
        """Do the work, print what it found, and return the exit code."""
        for name in options["type"]:
            check_type(name)
        types = options["type"] or [CHARGE]
        found = Reconciliation(options["provider"], period, types, pace)
        if options["json"]:
            self.write_json(found)
        elif options["csv"]:
            self.write_csv(found)
        else:
            self.write_text(found, period, options)
        return FOUND if any(found.counts[kind] for kind in WORDS) else NOTHING

    def write_json(self, found: Reconciliation) -> None:
        """Print one object. Its differences are written as they are found, however many."""
        before = '{"differences": ['
        for difference in found:
            self.write(before + json.dumps(difference._asdict()))
            before = ", "
        self.write(before if before.startswith("{") else "")
        self.stdout.write(f'], "counts": {json.dumps(found.counts)}}}')

    def write_csv(self, found: Reconciliation) -> None:
        """Print a table, the names of its columns first."""
        table = csv.writer(self)
        table.writerow(Difference._fields)
        for difference in found:
            table.writerow([escape_cell(cell) for cell in difference])

    def write_text(self, found: Reconciliation, period: Period, options: dict[str, Any]) -> None:
        """Print a line for each difference, and how many they are."""
        for difference in found:
            self.line.clear()
            self.stdout.write(describe(difference))
        self.line.clear()
        if options["verbosity"]:
            counts = found.counts
            differing = sum(counts[kind] for kind in WORDS)
            differences = "1 difference" if differing == 1 else f"{differing} differences"
            payments = "1 payment" if counts["compared"] == 1 else f"{counts['compared']} payments"
            self.stdout.write(f"{differences} in {payments} of {options['provider']} {period}.")
            if counts["without_amount"]:
                text = "have no amount here to compare: it was pruned, or never sent."
                self.stdout.write(f"{counts['without_amount']} {text}")

    def write(self, text: str) -> None:
        """Write without a new line and without a colour."""
        self.line.clear()
        self.stdout.write(text, lambda plain: plain, ending="")


def describe(difference: Difference) -> str:
    """Return a difference in words."""
    sums = [("there", difference.there), ("here", difference.here)]
    facts = [f"{name} {value}" for name, value in sums if value]
    if difference.note:
        facts.append(difference.note)
    order = f" (order {escape(difference.order_id)})" if difference.order_id else ""
    payment = f"{escape(difference.payment_id) or 'no payment id'}{order}"
    return f"{WORDS[difference.kind]}: {payment}: {escape('; '.join(facts))}"
