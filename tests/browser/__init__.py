"""The admin in a real browser: Playwright drives Chromium. Run by ``tox -e browser`` and ``tox -e browser-unfold``."""
