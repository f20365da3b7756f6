"""What happened to each event, kept: an app of its own, for the admin's timelines and overview.

The event's row says what is; it forgets how it came to be. This app listens to the signals and
writes that down. It is a witness, not the truth: a process that is killed between a change and its
entry leaves none.
"""
