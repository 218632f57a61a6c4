"""What a contract says of a procedure's calls: who is asked, what waits, what is tried again."""

from __future__ import annotations

import pytest

from hopsack.contracts import Catalogue, ContractsInvalid, Problem, Source, build
from hopsack.contracts.catalogue import ProcedureContract
from hopsack.contracts.generate import python, typescript
from hopsack.contracts.generate.shapes import vocabulary
from hopsack.contracts.policy import Breaker, Policy

INPUT = (
    "{type: object, required: [order], properties: {order: {type: string}, note: {type: string}, at: {type: object}}}"
)


def _catalogue(*lines: str, uri: str = "shop.sell") -> Catalogue:
    own = "".join(f"    {line}\n" for line in lines)
    text = f"procedures:\n  {uri}:\n    summary: Sell.\n{own}    register: [service]\n    call: [user]\n"
    return build([Source("shop.yaml", "shop.yaml", text)])


def _contract(*lines: str, uri: str = "shop.sell") -> ProcedureContract:
    return _catalogue(*lines, uri=uri).procedures[uri]


def _problem(*lines: str, uri: str = "shop.sell") -> Problem:
    with pytest.raises(ContractsInvalid) as caught:
        _catalogue(*lines, uri=uri)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("lines", "policy"),
    [
        ((), Policy()),
        (("idempotent: true",), Policy(retry=2)),
        (("idempotent: true", "retry: 0"), Policy()),
        (("wait: 2s",), Policy(wait=2.0, queue=100)),
        (("concurrency: 8",), Policy(concurrency=8, queue=100)),
        (("concurrency: 8", "queue: 0"), Policy(concurrency=8)),
        (("invoke: least",), Policy(invoke="least")),
        (("breaker: true",), Policy(breaker=Breaker(5, 10.0, 2.0))),
        (("breaker: false",), Policy()),
        (("breaker: {failures: 2, open: 500ms}",), Policy(breaker=Breaker(2, 10.0, 0.5))),
        (("once: 1d",), Policy(once=86400.0)),
        ((f"input: {INPUT}", "shard_by: order"), Policy(shard_by="order")),
    ],
)
def test_what_is_said_and_what_is_usual(lines: tuple[str, ...], policy: Policy) -> None:
    assert _contract(*lines).policy == policy


def test_calls_are_shared_out_by_a_parameter() -> None:
    assert _contract("shard_by: '{shop}'", uri="shop.{shop}.sell").policy.shard_by == "{shop}"


@pytest.mark.parametrize(
    ("lines", "key", "message", "advice"),
    [
        (("invoke: lest",), "invoke", "must be one of single", ""),
        (("retry: 1",), "retry", "only an idempotent procedure", "idempotent: true"),
        (("queue: 5",), "queue", "nothing waits", "`wait`"),
        (("wait: 0s",), "wait", "duration above 0", "2s"),
        (("concurrency: 0",), "concurrency", "at least 1", ""),
        (("once: 90s",), "once", "at least 2m", ""),
        (("concurrency: true",), "concurrency", "whole number", ""),
        (("breaker: 5",), "breaker", "must be an object", "`failures`"),
        (("breaker: {failure: 5}",), "breaker/failure", "not a key", "`failures`"),
        (("shard_by: order", "invoke: least", f"input: {INPUT}"), "shard_by", "both say who", ""),
        (("shard_by: ordre", f"input: {INPUT}"), "shard_by", "no field `ordre`", "`order`"),
        (("shard_by: note", f"input: {INPUT}"), "shard_by", "may be missing from an input", "`required`"),
        (("shard_by: order",), "shard_by", "no field `order`", "object with `properties`"),
        (("shard_by: '{shop}'",), "shard_by", "no parameter `{shop}`", ""),
    ],
)
def test_what_is_wrong_with_it(lines: tuple[str, ...], key: str, message: str, advice: str) -> None:
    problem = _problem(*lines)

    assert problem.key == f"/procedures/shop.sell/{key}"
    assert message in problem.message
    assert advice in problem.advice


def test_results_and_inputs_that_come_piece_by_piece_have_contracts_of_their_own() -> None:
    contract = _contract("output: {type: integer}", "progress: {type: string}", "inputs: {type: number}")

    assert (contract.check_progress("a line"), contract.check_inputs(1.5), contract.check_output(3)) == (None,) * 3
    assert contract.check_progress(3) is not None
    assert contract.check_inputs("no") is not None


def test_without_one_progress_is_as_the_output_and_one_input_is_all() -> None:
    contract = _contract("output: {type: integer}")

    assert contract.check_progress(3) is None
    assert contract.check_progress("no") is not None
    refused = contract.check_inputs(3)
    assert refused is not None
    assert "takes one input" in refused.message


def test_both_languages_have_types_for_them() -> None:
    known = vocabulary(_catalogue("idempotent: true", "progress: {type: string}", "inputs: {type: number}"))

    assert "SHOP_SELL: Progressive[None, str, None] = (" in python.module(known)
    assert 'Progressive("shop.sell", None, None, idempotent=True, progress=str, inputs=float)' in python.module(known)
    assert '"shop.sell": { input: null; output: null; progress: string; inputs: number; errors: never }' in (
        typescript.module(known)
    )


def test_the_document_tells_what_is_not_usual() -> None:
    document = _catalogue("wait: 2s", "breaker: true", "progress: {type: string}").asyncapi()
    operation = document["operations"]["shop.sell.call"]

    assert operation["x-hopsack-wait"] == 2.0
    assert operation["x-hopsack-breaker"] == {"failures": 5, "within": 10.0, "open": 2.0}
    assert "x-hopsack-retry" not in operation
    assert any(one["$ref"].endswith("/messages/progress") for one in operation["reply"]["messages"])
