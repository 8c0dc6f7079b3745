WORDS = [f"word{i % 500}" for i in range(20_000)]

def count_by_hand():
    counts = {}
    for word in WORDS:
        counts[word] = counts.get(word, 0) + 1
    return counts

def count_with_counter():
    from collections import Counter
    return dict(Counter(WORDS))

def test_counter_is_faster(optbench):
    optbench.compare(baseline=count_by_hand, optimized=count_with_counter)

def test_a_copy_is_not(optbench):
    optbench.compare(baseline=count_by_hand, optimized=lambda: count_by_hand())
