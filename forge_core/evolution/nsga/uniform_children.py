"""Children by uniform crossover and uniform mutation in compiled code, draw by draw those of ``Breeder.child``.

numpy's legacy generator ``RandomState`` is the Mersenne Twister MT19937 (Matsumoto and Nishimura, ACM Transactions on
Modeling and Computer Simulation 8(1), 1998). Its state, 624 words and a position, is read from a ``RandomState`` and
advanced here, so that the draws are the same numbers in the same order.
"""

import numpy as np

from forge_core.simd.compiled import compiled

WORDS = 624
_SHIFT = 397
_UPPER, _LOWER, _MATRIX = 0x80000000, 0x7FFFFFFF, 0x9908B0DF
_MASK = 0xFFFFFFFF


@compiled
def breed_uniform(
    children, genes, dominates, sizes, is_ordered, unordered, ordered, by_name, drawn,
    crossover_probability, swapping, mutation_probability, state, fresh,
):  # fmt: skip
    """Fill ``children`` (children, genes); ``state`` and ``fresh`` are MT19937 states of ``WORDS + 1`` numbers (int64).

    ``genes`` has shape (parents, genes). ``unordered``, ``ordered`` and ``by_name`` are the genes in the order in which
    they are crossed, ``drawn`` those of a random child. Random values of genes are drawn from ``fresh``.
    """
    crossed = np.concatenate((unordered, ordered))
    redrawn = np.empty(sizes.size, np.bool_)
    for row in range(children.shape[0]):
        child = children[row]
        child[:] = 0
        redrawn[:] = False
        if genes.shape[0] == 0:
            for gene in drawn:
                redrawn[gene] = True
        else:
            order = by_name
            if _double(state) < crossover_probability:
                order = crossed
                first = _winner(state, genes.shape[0], -1, dominates)
                second = _winner(state, genes.shape[0], first, dominates)
                for gene in unordered:
                    child[gene] = genes[second if _double(state) >= swapping else first, gene]
                for gene in ordered:
                    child[gene] = genes[second if _double(state) >= swapping else first, gene]
            else:
                child[:] = genes[_below(state, genes.shape[0])]
            for gene in order:
                redrawn[gene] = _double(state) < mutation_probability
        for gene in range(sizes.size):
            if redrawn[gene]:
                child[gene] = _value(fresh, sizes[gene], is_ordered[gene])


@compiled
def _winner(state, count, taken, dominates):
    """Return the winner of a tournament of two of ``count`` parents but the one ``taken`` (-1: none)."""
    left = count - (taken >= 0)
    first = _below(state, left)
    second = _below(state, left)
    if taken >= 0:
        first += first >= taken
        second += second >= taken
    return first if dominates[first, second] else second


@compiled
def _value(state, size, is_ordered):
    """Return a random value of a gene, as Optuna draws it from the gene's distribution."""
    if is_ordered:
        value = np.int64(np.floor(-0.5 + size * _double(state) + 0.5))
        return min(max(value, 0), size - 1)
    best, most = 0, -1.0
    for value in range(size):
        number = _double(state)
        if number > most:
            best, most = value, number
    return best


@compiled
def _below(state, count):
    """Return a random number below ``count``, as ``RandomState.choice``: numbers under a bit mask until one fits."""
    most = count - 1
    if most == 0:
        return 0
    mask = most
    for shift in (1, 2, 4, 8, 16):
        mask |= mask >> shift
    while True:
        number = _word(state) & mask
        if number <= most:
            return number


@compiled
def _double(state):
    """Return a random number from 0 to below 1 of 53 bits."""
    upper = _word(state) >> 5
    return (upper * 67108864.0 + (_word(state) >> 6)) / 9007199254740992.0


@compiled
def _word(state):
    """Return 32 random bits."""
    if state[WORDS] == WORDS:
        for k in range(WORDS):
            word = (state[k] & _UPPER) | (state[(k + 1) % WORDS] & _LOWER)
            state[k] = state[(k + _SHIFT) % WORDS] ^ (word >> 1) ^ (_MATRIX if word & 1 else 0)
        state[WORDS] = 0
    word = state[state[WORDS]]
    state[WORDS] += 1
    word ^= word >> 11
    word ^= (word << 7) & 0x9D2C5680
    word ^= (word << 15) & 0xEFC60000
    return (word ^ (word >> 18)) & _MASK
