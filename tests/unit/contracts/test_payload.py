"""Where in a WAMP message the payload is."""

from __future__ import annotations

from typing import Any

import pytest

from hopsack.contracts import payload_of
from hopsack.errors import Invalid


@pytest.mark.parametrize(
    ("args", "kwargs", "array", "payload"),
    [
        (None, None, False, None),
        ([], {}, False, None),
        ([None], None, False, None),
        ([{"host": "h"}], None, False, {"host": "h"}),
        ([[1, 2]], None, False, [1, 2]),
        ([], {"host": "h"}, False, {"host": "h"}),
        (None, {"host": "h"}, True, {"host": "h"}),
        (None, None, True, []),
        ([1, 2], None, True, [1, 2]),
        ([1], None, True, [1]),
        ([[1, 2]], None, True, [1, 2]),
        ([[1], [2]], None, True, [[1], [2]]),
        ((1, 2), None, True, [1, 2]),
    ],
)
def test_one_value(args: list[Any] | None, kwargs: dict[str, Any] | None, array: bool, payload: Any) -> None:
    assert payload_of(args, kwargs, array) == payload


@pytest.mark.parametrize(
    ("args", "kwargs", "array"), [([1, 2], None, False), ([1], {"a": 1}, False), ([1], {"a": 1}, True)]
)
def test_what_could_mean_several_things_is_refused(
    args: list[Any] | None, kwargs: dict[str, Any] | None, array: bool
) -> None:
    with pytest.raises(Invalid) as caught:
        payload_of(args, kwargs, array)

    assert caught.value.advice is not None
    assert caught.value.path == ""
