"""WAMP without I/O: messages, codecs with payload pass-through, RawSocket framing, and the client's session.

Import from the modules: :mod:`~hopsack.wamp.messages`, :mod:`~hopsack.wamp.codec`, :mod:`~hopsack.wamp.rawsocket`,
:mod:`~hopsack.wamp.session`.
"""
