"""What processes share among one another."""

import pytest

from mma82cli.training.ranks import Ranks


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
def test_each_item_is_done_by_one_process_and_the_first_has_all_answers(count):
    done, sent = [], {}

    class Here(Ranks):
        """Three processes, one after the other: the first is the last, and finds what the others sent."""

        def gather(self, value):
            sent[self.rank] = value
            return [sent[rank] for rank in range(3)] if self.first else [value]

    def work(items):
        assert len(items) > 0  # a network is not asked about nothing
        done.extend(items)
        return [f"answer {item}" for item in items]

    *others, first = (Here(rank, 3).shared(range(count), work) for rank in (2, 1, 0))
    assert first == [f"answer {item}" for item in range(count)] and others == [[], []]
    assert sorted(done) == list(range(count))
