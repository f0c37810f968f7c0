import random

import pytest
import torch

from rivalry.data import batch_index


@pytest.mark.parametrize(("n", "size"), [(10, 3), (7, 7), (5, 12), (1, 4), (64, 16)])
def test_every_epoch_is_a_permutation(n, size):
    batches = [batch_index(n, p, size, seed=3) for p in range(3 * n)]
    sequence = torch.cat(batches)
    for epoch in range(3):
        assert sorted(sequence[epoch * n : (epoch + 1) * n].tolist()) == list(range(n))


def test_it_is_a_pure_function_whatever_was_asked_before():
    first = {p: batch_index(50, p, 7, seed=1) for p in range(40)}
    order = list(range(40))
    random.Random(0).shuffle(order)
    for p in order:
        assert torch.equal(batch_index(50, p, 7, seed=1), first[p])


def test_changing_a_batch_in_place_changes_no_later_one():
    batch = batch_index(20, 0, 5, seed=0)
    kept = batch.clone()
    batch.zero_()
    assert torch.equal(batch_index(20, 0, 5, seed=0), kept)


def test_epochs_and_seeds_differ():
    epochs = [batch_index(100, p, 100, seed=0) for p in range(2)]
    assert not torch.equal(*epochs)
    assert not torch.equal(epochs[0], batch_index(100, 0, 100, seed=1))


def test_shares_of_a_double_batch_are_the_double_batch():
    whole = batch_index(30, 4, 8, seed=2)
    assert torch.equal(torch.cat([batch_index(30, 8, 4, seed=2), batch_index(30, 9, 4, seed=2)]), whole)


def test_it_leaves_torchs_own_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    batch_index(1000, 0, 10, seed=5)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("bad", [(0, 0, 1), (5, -1, 1), (5, 0, 0)])
def test_nonsense_is_refused(bad):
    with pytest.raises(ValueError, match="no batch"):
        batch_index(*bad, seed=0)
