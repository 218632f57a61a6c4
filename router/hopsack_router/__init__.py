"""The Hopsack node: a Crossbar.io personality with its own routing core and doors."""

import txaio

txaio.use_twisted()  # before any import of autobahn.wamp: it binds to a framework once
