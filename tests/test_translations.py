"""Every text of the pages is in the catalogues, and every catalogue is complete and compiled."""

import ast
import gettext
import io
import os
import re

import pytest
from django.template import engines
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

import django_payment_webhooks

from .test_architecture import SOURCES

PACKAGE = os.path.dirname(django_payment_webhooks.__file__)
LOCALE = os.path.join(PACKAGE, "locale")
LANGUAGES = sorted(os.listdir(LOCALE))
# Where the text and its plural are among the arguments, and its context.
FUNCTIONS = {
    **dict.fromkeys(["_", "gettext", "gettext_lazy"], ([0], None)),
    **dict.fromkeys(["ngettext", "ngettext_lazy"], ([0, 1], None)),
    **dict.fromkeys(["pgettext", "pgettext_lazy"], ([1], 0)),
}
PLACES = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
FIELD = r"^(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?) "
ENTRY = re.compile(FIELD + r'(".*"(?:\n".*")*)', re.MULTILINE)


def read(language, kind):
    """Return a catalogue, as it is written or compiled."""
    path = os.path.join(LOCALE, language, "LC_MESSAGES", f"django.{kind}")
    with open(path, "rb") as file:
        return file.read()


def read_entries(language):
    """Return what a catalogue has: by context, text and plural the list of its translations."""
    entries = {}
    for block in read(language, "po").decode().split("\n\n"):
        assert "\n#~" not in "\n" + block, "obsolete: %s" % block
        fields = {}
        for name, text in ENTRY.findall(block):
            fields[name] = "".join(ast.literal_eval(line) for line in text.splitlines())
        if not fields:
            continue
        assert not re.search(r"^#,.*fuzzy", block, re.MULTILINE), block
        key = (fields.get("msgctxt"), fields["msgid"], fields.get("msgid_plural"))
        assert key not in entries
        entries[key] = [text for name, text in fields.items() if name.startswith("msgstr")]
    return entries


def find_in_code(source):
    """Yield the texts that a module has for translation."""
    for node in ast.walk(ast.parse(source)):
        name = getattr(getattr(node, "func", None), "id", None)
        if name in FUNCTIONS:
            texts, context = FUNCTIONS[name]
            # A literal: no tool finds the texts of anything else.
            found = [ast.literal_eval(node.args[index]) for index in texts]
            yield (
                None if context is None else ast.literal_eval(node.args[context]),
                found[0],
                found[1] if len(found) > 1 else None,
            )


def find_in_template(source):
    """Yield the texts that a template has for translation."""
    nodes = engines["django"].from_string(source).template.nodelist
    for node in nodes.get_nodes_by_type(TranslateNode):
        yield read_context(node), str(node.filter_expression.var.literal), None
    for node in nodes.get_nodes_by_type(BlockTranslateNode):
        plural = node.render_token_list(node.plural)[0] if node.plural else None
        yield read_context(node), node.render_token_list(node.singular)[0], plural
    for text in re.findall(r'_\("([^"]+)"\)', source):
        yield None, text, None


def read_context(node):
    """Return the context of a text in a template."""
    return str(node.message_context.var) if node.message_context else None


def find_all():
    """Return every text that the package has for translation."""
    found = {text for source in SOURCES.values() for text in find_in_code(source)}
    for folder, _, names in os.walk(os.path.join(PACKAGE, "templates")):
        for name in names:
            with open(os.path.join(folder, name), encoding="utf-8") as template:
                found |= set(find_in_template(template.read()))
    # A catalogue has one entry for a text that is used with and without its plural.
    with_plural = {(context, text) for context, text, plural in found if plural}
    return {key for key in found if key[2] or key[:2] not in with_plural}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_every_text_and_no_other(language):
    known = {key for key in read_entries(language) if key[1]}
    texts = find_all()
    assert len(texts) > 100
    assert (sorted(map(str, texts - known)), sorted(map(str, known - texts))) == ([], [])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_with_the_same_values_and_the_same_end(language):
    entries = read_entries(language)
    (header,) = entries.pop((None, "", None))
    number = int(re.search(r"nplurals=(\d)", header).group(1))
    for (_, text, plural), translations in entries.items():
        assert len(translations) == (number if plural else 1), text
        assert all(translations), text
        for each in translations:
            places = set(PLACES.findall(each))
            assert places <= {*PLACES.findall(text), *PLACES.findall(plural or "")}, each
            assert re.search(r"[.:…]?$", each).group() == re.search(r"[.:…]?$", text).group(), each
        assert set(PLACES.findall(translations[-1])) == set(PLACES.findall(plural or text)), text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_compiled(language):
    compiled = gettext.GNUTranslations(io.BytesIO(read(language, "mo")))._catalog
    written = {}
    for (context, text, plural), translations in read_entries(language).items():
        key = text if context is None else f"{context}\x04{text}"
        if plural:
            written.update({(key, index): each for index, each in enumerate(translations)})
        else:
            written[key] = translations[0]
    assert compiled.pop("").splitlines()[-1] == written.pop("").splitlines()[-1]  # the plurals
    assert compiled == written
