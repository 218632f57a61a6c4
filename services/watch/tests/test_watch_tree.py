"""The tree's conversation: what it is told, and the effects it answers with."""

from __future__ import annotations

from watch.events import (
    Await,
    Awaited,
    Change,
    Enter,
    Entered,
    Facts,
    Finish,
    Finished,
    Look,
    Looked,
    Noticed,
    Publish,
    Ready,
    Refused,
    RemoveWatch,
    WakeAt,
    Warn,
    Woke,
)
from watch.inotify import IN_CREATE, IN_IGNORED, IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_Q_OVERFLOW, Record
from watch.tree import PAUSE, WINDOW, Tree

ROOT = Facts((1, 1), True, 4096, 0)
OVERFLOW = Noticed((Record(-1, IN_Q_OVERFLOW, 0, ""),))


def folder(inode: int) -> Facts:
    return Facts((1, inode), True, 4096, 0)


def file(inode: int, size: int = 0) -> Facts:
    return Facts((1, inode), False, size, 0)


def noticed(watch: int, mask: int, name: str, cookie: int = 0) -> Noticed:
    return Noticed((Record(watch, mask, cookie, name),))


def started(*children: tuple[str, Facts], most_doubts: int = 100) -> Tree:
    """A tree whose root has watch 1 and these files in it, its first scan done."""
    tree = Tree(most_doubts=most_doubts)
    assert tree.start() == [Enter((), quiet=True), Finish()]
    tree.receive(Entered(Enter((), quiet=True), 1, ROOT, children), 0)
    assert tree.receive(Finished(), 0) == [Ready()]
    return tree


def test_a_change_is_looked_at_after_the_window_and_published_as_what_it_is() -> None:
    tree = started(("log", file(2)))

    assert tree.receive(noticed(1, IN_MODIFY, "log"), 5.0) == [WakeAt(5.0 + WINDOW)]
    assert tree.receive(noticed(1, IN_MODIFY, "log"), 5.01) == []
    assert tree.receive(Woke(), 5.1) == [Look(("log",))]
    assert tree.receive(Looked(Look(("log",)), file(2, 7)), 5.1) == [Publish(Change(("log",), "modified", file(2, 7)))]
    assert tree.receive(Looked(Look(("log",)), file(2, 7)), 5.2) == [], "nothing new is no change"


def test_a_folder_is_entered_when_it_is_found_and_left_when_it_goes() -> None:
    tree = started()
    enter = Enter(("a",))

    tree.receive(noticed(1, IN_CREATE, "a"), 0)
    tree.receive(Woke(), 0)
    assert tree.receive(Looked(Look(("a",)), folder(2)), 0) == [Publish(Change(("a",), "created", folder(2))), enter]
    assert tree.receive(Entered(enter, 2, folder(2), (("b", folder(3)),)), 0) == [
        Publish(Change(("a", "b"), "created", folder(3))),
        Enter(("a", "b")),
    ]
    assert tree.receive(Entered(Enter(("a", "b")), 3, folder(3), ()), 0) == []

    assert tree.receive(Looked(Look(("a",)), None), 0) == [
        Publish(Change(("a",), "deleted", folder(2))),
        RemoveWatch(2),
        RemoveWatch(3),
    ]


def test_both_ends_of_a_move_are_paired_by_their_cookie() -> None:
    tree = started(("old", file(2)), ("gone", file(3)))

    tree.receive(noticed(1, IN_MOVED_FROM, "old", 7), 0)
    tree.receive(noticed(1, IN_MOVED_TO, "new", 7), 0)
    tree.receive(noticed(1, IN_MOVED_FROM, "gone", 8), 0)

    assert tree.receive(Woke(), 0) == [Look(("old",), moved=True), Look(("new",)), Look(("gone",))]
    assert tree.receive(Looked(Look(("old",), moved=True), None), 0) == [Publish(Change(("old",), "moved", file(2)))]
    assert tree.receive(Looked(Look(("new",)), file(2)), 0) == [Publish(Change(("new",), "created", file(2)))]
    assert tree.receive(Looked(Look(("gone",)), None), 0) == [Publish(Change(("gone",), "deleted", file(3)))]


def test_an_overflow_reads_everything_again_and_says_so() -> None:
    tree = started(("kept", file(2)), ("gone", file(3)))

    assert tree.receive(OVERFLOW, 1.0) == [WakeAt(1.0 + WINDOW)]
    assert tree.receive(Woke(), 1.1) == [Enter((), deep=True), Finish()]
    seen = Entered(Enter((), deep=True), 1, ROOT, (("kept", file(2)), ("new", file(4))))
    assert tree.receive(seen, 1.1) == [
        Publish(Change(("gone",), "deleted", file(3))),
        Publish(Change(("new",), "created", file(4))),
    ]
    assert tree.receive(Finished(), 1.1) == [Publish(Change((), "rescanned", ROOT))]


def test_a_flood_costs_one_rescan_at_a_time_with_a_pause_between() -> None:
    tree = started()
    tree.receive(OVERFLOW, 1.0)
    tree.receive(Woke(), 1.1)

    assert tree.receive(OVERFLOW, 1.2) == [WakeAt(1.2 + WINDOW)]
    assert tree.receive(Woke(), 1.3) == [], "the scan is still going on"
    assert tree.receive(Finished(), 2.0) == [Publish(Change((), "rescanned", ROOT)), WakeAt(2.0 + PAUSE)]
    assert tree.receive(Woke(), 3.0) == [Enter((), deep=True), Finish()]


def test_more_doubts_than_are_kept_are_a_rescan_too() -> None:
    tree = started(most_doubts=2)

    for name in ("a", "b", "c"):
        tree.receive(noticed(1, IN_CREATE, name), 0)

    assert tree.receive(Woke(), 0) == [Enter((), deep=True), Finish()]


def test_no_watch_left_is_said_once_and_the_folder_is_listed_all_the_same() -> None:
    tree = started(("a", folder(2)), ("b", folder(3)))

    first = tree.receive(Entered(Enter(("a",)), None, folder(2), (("file", file(4)),)), 0)
    second = tree.receive(Entered(Enter(("b",)), None, folder(3), ()), 0)

    assert [type(effect) for effect in first] == [Warn, Publish]
    assert isinstance(first[0], Warn)
    assert "max_user_watches" in first[0].text
    assert second == []


def test_a_watch_that_turns_up_at_a_second_path_has_left_the_first() -> None:
    tree = started(("old", folder(2)), ("new", folder(2)))
    tree.receive(Entered(Enter(("old",)), 2, folder(2), ()), 0)

    assert tree.receive(Entered(Enter(("new",)), 2, folder(2), ()), 0) == [Look(("old",)), Enter(("new",), again=True)]
    assert tree.receive(Looked(Look(("old",)), None), 0) == [
        Publish(Change(("old",), "deleted", folder(2))),
        RemoveWatch(2),
    ]
    assert tree.receive(Entered(Enter(("new",), again=True), 3, folder(2), ()), 0) == []
    assert tree.receive(noticed(3, IN_CREATE, "x"), 0) == [WakeAt(WINDOW)]


def test_a_folder_that_is_at_two_paths_is_entered_at_one() -> None:
    tree = started(("one", folder(2)), ("two", folder(2)))
    tree.receive(Entered(Enter(("one",)), 2, folder(2), ()), 0)
    tree.receive(Entered(Enter(("two",)), 2, folder(2), ()), 0)

    assert tree.receive(Looked(Look(("one",)), folder(2)), 0) == []
    (warning,) = tree.receive(Entered(Enter(("two",), again=True), 2, folder(2), ()), 0)

    assert warning == Warn("'two' is the same folder as 'one': listed, not entered")
    assert tree.receive(Looked(Look(("two",)), folder(2)), 0) == [], "it is not tried again and again"


def test_a_folder_that_may_not_be_read_is_said_once_and_tried_again_when_it_changes() -> None:
    tree = started(("secret", folder(2)))
    refused = Refused(Enter(("secret",)), gone=False, reason="Permission denied")

    assert tree.receive(refused, 0) == [Warn("'secret' cannot be read: Permission denied")]
    assert tree.receive(Looked(Look(("secret",)), folder(2)), 0) == [Enter(("secret",))]
    assert tree.receive(refused, 0) == []


def test_a_root_that_is_gone_is_awaited() -> None:
    tree = started(("file", file(2)))

    assert tree.receive(noticed(1, IN_IGNORED, ""), 0) == [WakeAt(WINDOW)]
    assert tree.receive(Woke(), 0) == [Enter(())]
    assert tree.receive(Refused(Enter(()), gone=True, reason=""), 0) == [Publish(Change((), "deleted", ROOT)), Await()]
    assert tree.receive(Awaited(9, present=False), 0) == []

    assert tree.receive(noticed(9, IN_CREATE, "root"), 1.0) == [WakeAt(1.0 + WINDOW)]
    assert tree.receive(Woke(), 1.1) == [Enter(())]
    assert tree.receive(Entered(Enter(()), 10, ROOT, (("file", file(3)),)), 1.1) == [
        RemoveWatch(9),
        Publish(Change((), "created", ROOT)),
        Publish(Change(("file",), "created", file(3))),
    ]


def test_a_root_that_came_while_it_was_awaited_is_entered() -> None:
    tree = started()
    tree.receive(Refused(Enter(()), gone=True, reason=""), 0)

    assert tree.receive(Awaited(9, present=True), 0) == [Enter(())]


def test_a_listing_that_was_cut_takes_nothing_away() -> None:
    tree = started(("a", file(2)), ("b", file(3)))

    assert tree.receive(Entered(Enter((), deep=True), 1, ROOT, (("a", file(2)),), cut=True), 0) == []
    entries, truncated = tree.entries(10)
    assert [path for path, _ in entries] == [("a",), ("b",)]
    assert truncated


def test_a_listing_goes_level_by_level() -> None:
    tree = started(("a", folder(2)), ("b", file(3)))
    tree.receive(Entered(Enter(("a",)), 2, folder(2), (("deep", file(4)),)), 0)

    assert [path for path, _ in tree.entries(3)[0]] == [("a",), ("b",), ("a", "deep")]
    assert tree.entries(3)[1] is False
    assert tree.entries(2)[1] is True
