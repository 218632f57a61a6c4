"""Several programs started, watched and ended together: what ``hopsack up`` does.

machine.py   decides: events in, effects out; no process, no clock
shell.py     does: asyncio subprocesses, signals, timers
programs.py  what is started, with which arguments and environment
state.py     what ``status`` and ``down`` read: run.json, and whose process a number is
logs.py      one bounded log per program
ports.py     who holds a port
"""
