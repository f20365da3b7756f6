"""Writes the pages about the presets: one for each, and a table of all.

``conf.py`` calls :func:`write_pages` before Sphinx looks for pages. So they say what the code says,
and a preset has its page as soon as it is there.
"""

import importlib
import os
import pkgutil
import re
from textwrap import dedent

from django_payment_webhooks.providers import Provider, presets
from django_payment_webhooks.providers.certificates import CertificateSignature
from django_payment_webhooks.providers.contents import list_placeholders
from django_payment_webhooks.providers.declarative import UNPROVED
from django_payment_webhooks.providers.fields import compile_field
from django_payment_webhooks.providers.jws import JWSSignature
from django_payment_webhooks.providers.public_keys import PublicKeySignature

HOST = "https://shop.example.com"
PATH = "/v1/webhooks/payment/"
# The shop's handler of each type, and what it derives from.
HANDLERS = {
    "charge.succeeded": ("MarkOrderPaid", "OrderPaidHandler"),
    "refund.pending": ("NoteRefund", "RefundPendingHandler"),
    "refund.created": ("RecordRefund", "RefundCreatedHandler"),
    "refund.failed": ("UndoRefund", "RefundFailedHandler"),
    "dispute.opened": ("OpenDispute", "DisputeOpenedHandler"),
    "dispute.won": ("WinDispute", "DisputeWonHandler"),
    "dispute.lost": ("LoseDispute", "DisputeLostHandler"),
}
TYPES = ("charge.succeeded", "charge.failed", *list(HANDLERS)[1:])
BODIES = {
    "json": "JSON",
    "form": "a form",
    "nested": "a form with names in brackets",
    "query": "a form, or the query of a GET",
}
UNITS = {
    "major": "Amounts are in major units, as `event.money` is.",
    "minor": "Amounts are in minor units; `event.money` is in major ones.",
}
FLAT = ("form", "query")
# What a condition says that is no value.
STATES = {"": "missing", "?*": "there"}
DIGESTS = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384"}
DIGESTS["sha512"] = "SHA-512"
# The providers' own programs that send to a machine without a public address.
PROGRAMS = {
    "stripe": """\
        [Stripe's own program](https://docs.stripe.com/cli) sends the events of your sandbox to your
        machine. The secret that `listen` prints is one more of `SECRETS`.

        ```console
        $ stripe listen --forward-to http://127.0.0.1:8000{path}
        $ stripe trigger payment_intent.succeeded
        ```
        """,
}


class Preset:
    """A preset, and what its page says."""

    def __init__(self, name):
        module = importlib.import_module(f"{presets.__name__}.{name}")
        self.name = name
        self.provider = module.Preset(name)
        self.doc = dedent(module.__doc__).strip()
        title, *self.paragraphs = self.doc.split("\n\n")
        name, _, kind = title.rstrip(".").partition(": ")
        self.brand = re.split(r",| \(", name)[0]
        self.kind = write_text(re.split(r",| \(", kind)[0]) or self.find_version()
        self.about = write_text(type(self.provider).__doc__.split("\n\n")[0])

    # ---- the facts

    @property
    def types(self):
        """Our types that its events become, in the order of a payment's life."""
        return [name for name in TYPES if name in self.provider.types.values()]

    def find_version(self):
        """Return what the preset's name says beyond the provider's."""
        brand = re.sub(r"\W+", "_", self.brand.lower())
        return self.name[len(brand) :].strip("_") if self.name.startswith(brand) else ""

    @property
    def is_played(self):
        """Whether its secrets can sign: a public key can not."""
        return not isinstance(self.provider, (JWSSignature, PublicKeySignature))

    @property
    def needs_secrets(self):
        """Whether a host must set its secrets: they are neither missing nor known."""
        return self.provider.has_secrets and not self.provider.secrets

    @property
    def variable(self):
        """The environment variable with its secrets."""
        return f"{self.name.upper()}_SECRETS"

    @property
    def proof(self):
        """How a webhook proves from whom it is."""
        provider, digest = self.provider, DIGESTS[self.provider.digest]
        if provider.proof == UNPROVED:
            return "nothing"
        if isinstance(provider, CertificateSignature):
            return f"certificate, {digest}"
        if isinstance(provider, JWSSignature):
            return f"JWS, {', '.join(provider.algorithms)}"
        if isinstance(provider, PublicKeySignature):
            return f"public key, {digest}"
        kinds = {"hmac": f"HMAC with {digest}", "hash": digest, "token": "token"}
        return kinds[provider.proof]

    @property
    def body(self):
        """How a webhook is written."""
        written = BODIES.get(self.provider.body_format, self.provider.body_format.upper())
        return f"{written}, several events" if self.provider.events_path else written

    @property
    def kinds(self):
        """What its events can be about."""
        kinds = dict.fromkeys(name.split(".")[0] for name in self.types)
        return ", ".join(f"{kind}s" for kind in kinds) or "its own"

    @property
    def trust(self):
        """Whom a host believes."""
        answer = "what you fetch" if self.provider.needs_confirmation else "the webhook"
        return f"{answer}; addresses" if self.provider.addresses else answer

    # ---- the page

    def write(self):
        """Return the page."""
        parts = [
            f"# {self.title}",
            f"{self.about} This page shows what the preset `{self.name}` does.",
            f"## At {self.brand}\n\n{self.write_steps()}",
            f"## Settings\n\n{self.write_settings()}",
            f"## What its events become\n\n{self.write_types()}",
            f"## What is special\n\n{self.write_special()}",
            f"## Where each field is\n\n{self.write_fields()}",
            f"## Try it\n\n{self.write_trial()}",
            f"## Sources\n\n{write_text(self.paragraphs[0])}",
        ]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    @property
    def title(self):
        """What a reader searches for."""
        sent = "" if self.brand.endswith("Webhooks") else " webhooks"
        kind = f": {self.kind}" if self.kind else ""
        return f"Receive {self.brand}{sent} in Django{kind}"

    def write_steps(self):
        """Return what to click at the provider."""
        steps = [
            f"Read [how it sends webhooks]({self.provider.docs}), and create one with the URL"
            f" `{HOST}{PATH}{self.name}`. (The path before `payment` depends on your own URLs.)"
        ]
        if self.provider.events:
            steps.append(f"Enable: {', '.join(map(quote_name, self.provider.events))}.")
        if self.needs_secrets:
            signs = f"Put its signing secret into the environment variable `{self.variable}`."
            other = f"Set the environment variable `{self.variable}`; see *Sources* below for how."
            steps.append(signs if self.is_played else other)
        return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))

    def write_settings(self):
        """Return the settings, and what they need."""
        extras = "".join(
            f"It needs an extra: `pip install 'django-payment-webhooks[{each}]'`.\n\n"
            for each in sorted(set(re.findall(r"``\[(\w+)\]``", self.doc)))
        )
        options = [f'"PRESET": "{self.name}",', *self.list_options()]
        handled = [name for name in self.types or ["charge.succeeded"] if name in HANDLERS]
        handlers = [f'"{name}": "shop.handlers.{HANDLERS[name][0]}",' for name in handled]
        # Django starts only with handlers that exist: a reader who copies has written one at most.
        handlers[1:] = [f"# {handler}" for handler in handlers[1:]]
        lines = [
            "import os\n",
            "PAYMENT_WEBHOOKS_PROVIDERS = {",
            f'    "{self.name}": {{',
            *[f"        {option}" for option in options],
            "    },\n}",
            "PAYMENT_WEBHOOKS_HANDLERS = {",
            *[f"    {handler}" for handler in handlers],
            "}",
        ]
        more = "\n\nUncomment a handler once you have written its class."
        code = fence("python", "\n".join(lines))
        start = "If you have not installed the app yet, {doc}`../tutorial` shows how.\n\n"
        return start + extras + code + (more if handlers[1:] else "")

    def list_options(self):
        """Yield the options that a host must set beside the preset, and those that it should."""
        provider = self.provider
        if self.needs_secrets:
            yield f'"SECRETS": os.environ["{self.variable}"].split(","),'
        if "url" in list_placeholders(provider.content):
            yield f'"URL": "{HOST}{PATH}{self.name}",  # as the provider has it'
        if not self.types:
            yield f'# "TYPES": {{"a type of {self.brand}": "charge.succeeded"}},'
        if provider.needs_confirmation:
            yield f'"CONFIRM": "shop.payments.confirm_{self.name}",'
        if provider.test_mode:
            yield '# "LIVE": False,  # in a test installation: it takes only events from test mode'
        if provider.addresses:
            yield "# How many of your own proxies are in front. Turns on the check of addresses."
            yield '# "TRUSTED_PROXIES": 1,'

    def write_types(self):
        """Return the table of the provider's types and ours."""
        if not self.types:
            return "Its types keep their names. Rename those that you handle with `TYPES`."
        rows = [
            (self.write_rule(rule), f"`{rule.type}`", write_handler(rule.type))
            for rule in sorted(self.provider.rules, key=lambda rule: TYPES.index(rule.type))
        ]
        table = write_table((self.brand, "Type here", "Derive the handler from"), rows)
        return (
            f"{table}\n\nAny other event is kept under its own name, and `ignored` unless you have"
            " a handler for it. The handlers are the same for every provider: see"
            " {doc}`../howto/handlers`."
        )

    def write_rule(self, rule):
        """Return which of the provider's events are of one of our types."""
        conditions = [write_condition(condition) for condition in rule.conditions]
        names = ", ".join(quote(name) for name in rule.names)
        return f"{names} if {' and '.join(conditions)}" if conditions else names

    def write_special(self):
        """Return what the preset's own text says, and what its options mean."""
        texts = [write_text(paragraph) for paragraph in self.paragraphs[1:]]
        facts = "\n".join(f"- {fact}" for fact in self.list_facts())
        return "\n\n".join([*texts, facts])

    def list_facts(self):
        """Yield what the options say, in sentences."""
        provider = self.provider
        yield f"Proof: {self.proof}{self.write_place()}."
        if provider.proof != UNPROVED and provider.has_timestamp() and provider.tolerance:
            yield f"A webhook is refused {provider.tolerance} seconds after it was signed."
        yield f"The body is {self.body}. {UNITS[provider.amount_unit]}"
        yield self.write_answer()
        yield self.write_resending()
        yield "It can resend an event, and guarantees no order; the app takes care of both."
        if provider.needs_confirmation:
            yield (
                "`CONFIRM` is the path of a function of yours. It receives the event, asks the"
                " provider, and returns what the webhook should have said. Your handlers see that:"
                " {doc}`../howto/providers` has an example."
            )
        if provider.addresses:
            networks = ", ".join(f"`{each}`" for each in provider.addresses)
            yield f"It sends from {networks}. Set `TRUSTED_PROXIES`, which can be 0, to check that."
        if provider.test_mode:
            yield (
                f"An event is from test mode if {write_condition(provider.test_condition)}. It is"
                " `ignored`, unless you set the option `LIVE` to `False`."
            )
        if provider.ping_methods:
            methods = " and ".join(f"`{each}`" for each in provider.ping_methods)
            yield f"{methods} only checks whether the URL responds, and is answered with 200."

    def write_place(self):
        """Return where the signature is."""
        provider = self.provider
        if provider.proof == UNPROVED:
            return ""
        if provider.signature_field:
            return f", in the body's `{provider.signature_field}`"
        names = provider.signature_header
        names = [names] if isinstance(names, str) else names
        return f", in the header {' or '.join(quote(name) for name in names)}"

    def write_answer(self):
        """Return how webhooks are answered."""
        provider = self.provider
        body = "a JSON object" if provider.answer_body is None else quote(provider.answer_body)
        answer = f"An accepted webhook is answered with 200 and {body}"
        if provider.proof == UNPROVED:
            return f"{answer}."
        return f"{answer}, a forged one with {provider.refusal_status}."

    def write_resending(self):
        """Return for how long an event can come again."""
        seconds = self.provider.resends_for
        if seconds == Provider.resends_for:
            return "How long it resends an event is not known; 90 days are assumed."
        hours = seconds // 3600
        span = f"{hours} hours" if hours < 72 else f"{hours // 24} days"
        return f"It resends an event for up to {span}: do not delete rows before that."

    def write_fields(self):
        """Return the table of the fields."""
        rows = [
            (f"`{name}`", write_reference(reference, self.provider.object_path))
            for name, reference in type(self.provider).fields.items()
        ]
        return write_table(("Field", "Where it is"), rows)

    def write_trial(self):
        """Return how to play the provider."""
        event_type = (self.types or ["charge.succeeded"])[0]
        subject = "--order A1" if self.takes_order(event_type) else "--set payment_id=P1"
        arguments = f"--provider {self.name} {event_type} {subject}"
        command = fence("console", f"$ python manage.py send_payment_webhook {arguments}")
        more = "Add `--set amount=25.00` for another amount, or `--forge` for a forged signature."
        if self.provider.needs_confirmation:
            more = "The worker then calls your function, which must know what was sent."
        text = (
            f"With the settings above, a running server and a worker:\n\n{command}\n\n"
            f"It posts to `http://127.0.0.1:8000`; add another URL if your server has one. {more}"
        )
        if not self.is_played:
            text = (
                f"{self.brand} signs with a private key, so no command can play it. Use its"
                " sandbox; in tests, set a key of your own with `SIGNING_KEY`."
            )
        program = dedent(PROGRAMS.get(self.name, "")).format(path=PATH + self.name)
        refused = "If a webhook is refused, {doc}`../howto/401` says why."
        return "\n\n".join(filter(None, [text, program.strip(), refused]))

    def takes_order(self, event_type):
        """Return whether a webhook itself can name the order: a form has no objects in it."""
        provider = self.provider
        field = compile_field(provider.fields.get("order_id", ""), provider.object_path)
        names = [rule.names[0] for rule in provider.rules if rule.type == event_type]
        path = next(iter(field.paths([event_type, *names])), "")
        return bool(path) and (provider.body_format not in FLAT or "." not in path)


# ---- how it is written


def fence(language, code):
    """Return a block of code."""
    return f"```{language}\n{code}\n```"


def quote(text):
    """Return a text as code, also in a table."""
    return f"`{text}`".replace("|", r"\|")


def quote_name(text):
    """Return what is switched on: the name of an event as code, other words as they are."""
    return quote(text) if re.fullmatch(r"[\w.*-]+", text) and re.search("[._*]", text) else text


def write_table(head, rows):
    """Return a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write_condition(condition):
    """Return what must be true of an event."""
    values = [STATES.get(value) or quote(value) for value in condition.values]
    return f"`{condition.path}` is {' or '.join(values)}"


def write_handler(event_type):
    """Return which class to derive the handler of one of our types from."""
    return f"`{HANDLERS[event_type][1]}`" if event_type in HANDLERS else "`Handler`"


def write_reference(reference, base):
    """Return where a field is, in words."""
    if isinstance(reference, dict):
        choices = [
            f"{write_kind(kind)}{write_reference(each, base)}" for kind, each in reference.items()
        ]
        return "; ".join(choices)
    if isinstance(reference, (list, tuple)):
        return ", or else ".join(write_reference(each, base) for each in reference)
    if reference.startswith("="):
        return f"always {quote(reference[1:])}"
    whole = re.sub(r"(^|\{)\.", rf"\1{base}.", reference)
    return quote(whole)


def write_kind(pattern):
    """Return the events that a reference applies to."""
    return "else " if pattern == "*" else f"of {quote(pattern)} "


def write_text(paragraph):
    """Return a paragraph of a docstring as Markdown."""
    text = " ".join(paragraph.split()).replace("``", "`")
    return re.sub(r"https://[^\s)]*[^\s).,:;]", r"<\g<0>>", text)


# ---- all of them


def list_presets():
    """Return every preset, in the order of their names."""
    return [Preset(module.name) for module in pkgutil.iter_modules(presets.__path__)]


def write_index(known):
    """Return the table of all presets, and the list of their pages."""
    rows = [
        (f"[{preset.brand}]({preset.name}.md)", f"`{preset.name}`", preset.proof, preset.body)
        + (preset.kinds, preset.trust)
        for preset in known
    ]
    table = write_table(("Provider", "Preset", "Proof", "Body", "Events", "Trust"), rows)
    pages = "\n".join(preset.name for preset in known)
    return f"""\
# Providers

Each of these is a preset: `{{"PRESET": "stripe", "SECRETS": [...]}}` is all that the settings need.
Any other option overrides the preset's. If your provider is not here,
{{doc}}`describe it by options <../howto/providers>`.

{table}

Proof
: How a webhook proves that it comes from the provider.

Trust
: What the app believes. Some webhooks prove too little: a function of yours fetches the truth.
  *Addresses*: the provider publishes where it sends from, and the app can check that, too.

```{{toctree}}
:hidden:

{pages}
```
"""


def write_proofs(known):
    """Return the table of the front page: the providers by what proves their webhooks."""
    links = {}
    brands = [preset.brand for preset in known]
    for preset in known:
        is_one_of_several = preset.kind and brands.count(preset.brand) > 1
        name = f"{preset.brand}: {preset.kind}" if is_one_of_several else preset.brand
        links.setdefault(preset.proof, []).append(f"[{name}](providers/{preset.name}.md)")
    rows = sorted(links.items(), key=lambda row: (-len(row[1]), row[0]))
    return write_table(("Proof", "Providers"), [(proof, ", ".join(row)) for proof, row in rows])


def write_pages(folder):
    """Write all pages into a folder, and remove what is left of others."""
    known = list_presets()
    pages = {f"{preset.name}.md": preset.write() for preset in known}
    pages["index.md"] = write_index(known)
    pages["_by_proof.md"] = write_proofs(known) + "\n"
    os.makedirs(folder, exist_ok=True)
    for name in set(os.listdir(folder)) - set(pages):
        os.remove(os.path.join(folder, name))
    for name, text in pages.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as page:
            page.write(text)
