"""The measurements: the node against its peers, interleaved in one run on the same machine. See ``bench/README.md``."""
