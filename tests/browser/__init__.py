"""The admin in a real browser: Playwright drives Chromium. Run by tox, on the oldest and the newest
line.
"""
