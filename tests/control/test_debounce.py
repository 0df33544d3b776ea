"""News that wait for more of their kind."""

from __future__ import annotations

import pytest

from meshsim.control.debounce import Debounce


@pytest.mark.parametrize(
    ("longest_ns", "news_ns", "due_ns"),
    [
        (None, [5, 60, 104], 105),
        (1_000, [5], 105),
        (1_000, [5, 60, 104], 204),
        (150, [5, 60, 104], 155),
        (50, [5, 60, 104], 105),
    ],
)
def test_each_news_has_it_wait_once_more_up_to_the_longest(
    longest_ns: int | None, news_ns: list[int], due_ns: int
) -> None:
    """What is due waits 100 ns after the latest news, but no longer than the longest after the first."""
    debounce = Debounce(100, longest_ns)
    assert [debounce.notice(now_ns) for now_ns in news_ns] == [True] + [False] * (len(news_ns) - 1)
    assert debounce.due_ns == due_ns
