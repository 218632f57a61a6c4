"""The routing core: admission, broker, dealer, fan-out, and the links that sessions write to."""
