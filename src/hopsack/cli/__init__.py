"""The command line: data to stdout, talk to stderr, exit codes from one table.

    main.py      the group, what every verb has, and where every error ends
    exits.py     exception -> exit code
    output.py    tables for people, NDJSON for programs
    up.py node.py run.py talk.py lists.py token.py doctor.py contracts.py test.py    the verbs

A verb's module is imported when the verb is typed, and what it needs when it needs it: `hopsack --help` loads click
and nothing else.
"""
