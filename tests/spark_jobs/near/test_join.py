"""Comparing is exact, LSH proposes nearly all pairs for it, and the work stays linear where many texts are alike."""

import json
import random
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.text.clean import clean
from spark_jobs.near import join
from spark_jobs.near.candidates import link_equal, plan_candidates
from spark_jobs.near.join import group_records
from spark_jobs.near.shingles import RECALL, hash_bands, plan_bands, shingles_of
from tests.contract.text.test_cases import CASES
from tests.spark_jobs.near.near_texts import (
    THRESHOLDS,
    VOCABULARY,
    exact_labels,
    jaccard,
    labels_of,
    mutants,
    sets_of,
    table,
)


def one_component(records: pa.Table, threshold: float) -> list[int]:
    shingles = shingles_of(records)
    return group_records(shingles, np.zeros(shingles.num_records, np.int64), threshold=threshold).tolist()


def found_labels(records: pa.Table, threshold: float) -> np.ndarray:
    """What the whole way finds among these records."""
    bands = hash_bands(shingles_of(records), plan_bands(threshold))
    candidates = plan_candidates(link_equal(bands.ravel(), np.tile(np.arange(records.num_rows), len(bands))))
    labels = np.arange(records.num_rows)
    groups = group_records(shingles_of(records.take(candidates.numbers)), candidates.components, threshold=threshold)
    labels[candidates.numbers] = candidates.numbers[groups]
    return labels


FEW_WORDS = st.lists(st.sampled_from("ab"), min_size=2, max_size=12).map(" ".join)


@settings(deadline=None)
@given(st.lists(FEW_WORDS, min_size=1, max_size=20), st.sampled_from([0.2, 1 / 3, *THRESHOLDS]))
def test_comparing_is_exact(texts: list[str], threshold: float) -> None:
    records = table(texts)
    assert one_component(records, threshold) == exact_labels(sets_of(records), threshold)


@settings(deadline=None)
@given(st.lists(FEW_WORDS, min_size=1, max_size=20), st.lists(FEW_WORDS, min_size=1, max_size=20))
def test_components_do_not_meet(left: list[str], right: list[str]) -> None:
    together = table([text for pair in zip(left, right, strict=False) for text in pair])
    num = together.num_rows // 2
    labels = group_records(shingles_of(together), np.arange(2 * num) % 2, threshold=0.6)
    assert (labels[::2] // 2).tolist() == one_component(table(left[:num]), 0.6)
    assert (labels[1::2] // 2).tolist() == one_component(table(right[:num]), 0.6)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_precision_is_one_and_recall_as_planned(threshold: float) -> None:
    """Of all pairs of 1,500 records, of which many are about as similar as the threshold."""
    records = table(mutants(5, num_originals=150, num_words=60))
    sets = sets_of(records)
    labels = found_labels(records, threshold)
    pairs = [pair for pair in combinations(range(len(sets)), 2) if not sets[pair[0]].isdisjoint(sets[pair[1]])]
    similar = [pair for pair in pairs if jaccard(sets[pair[0]], sets[pair[1]]) >= threshold]
    is_found = [labels[left] == labels[right] for left, right in similar]
    assert len(similar) > 50
    assert np.mean(is_found) >= RECALL

    expected = np.array(labels_of(len(sets), similar))
    assert [len(set(expected[labels == label])) for label in set(labels)] == [1] * len(set(labels))


def test_short_texts_are_alike_only_if_equal() -> None:
    texts = ["Red Shirt", "red shirt", "USB Cable", "Red Shirt blue", "Red cable", "Shirt Red", "Red x", "USB"]
    assert found_labels(table(texts), 0.5).tolist() == [0, 0, 2, 3, 4, 5, 6, 7]


def test_texts_without_blanks_are_compared_by_letters() -> None:
    lines = [json.loads(line) for line in (CASES / "cjk-near.json").read_text().splitlines()]
    texts = [f"{clean(line['title'])} {clean(line['content'])}" for line in lines]
    assert found_labels(table(texts), 0.7).tolist() == [0, 0, 2, 3, 3]
    # Of one length and script, but of other letters.
    assert found_labels(table(["잔 " + "가나다라마바사" * 3, "잔 " + "아자차카타파하" * 3]), 0.5).tolist() == [0, 1]


@pytest.mark.parametrize(
    "text",
    [
        "真空保温杯五百毫升不锈钢材质办公室户外使用密封防漏",
        "ステンレス製の真空断熱タンブラーはオフィスでもアウトドアでも使えます",
        "스테인리스 진공 보온병은 사무실과 야외에서 사용하기 좋습니다",
        "กระติกน้ำสุญญากาศสแตนเลสเหมาะสำหรับสำนักงานและกลางแจ้ง",
        "ກະຕຸກນ້ຳສູນຍາກາດເຫມາະສຳລັບຫ້ອງການ",
        "ដបទឹកបូមធូលីដែកអ៊ីណុកសមស្របសម្រាប់ការិយាល័យ",
        "သံမဏိဖြင့်ပြုလုပ်ထားသောရေဘူးသည်ရုံးနှင့်အပြင်တွင်သင့်တော်သည်",
    ],
)
def test_one_letter_of_many_makes_a_near_duplicate_in_any_script(text: str) -> None:
    """The last letters are another's; neither blanks nor a Latin word between the letters make a difference."""
    texts = [f"A {text}", f"A {text[:-1]}中", f"A {text[:9]} {text[9:]}", f"B {text[::-1]}"]
    assert found_labels(table(texts), 0.7).tolist() == [0, 0, 0, 3]


def test_groups_are_connected_by_others() -> None:
    """The first resembles the second and the second the third, but the first does not resemble the third."""
    words = VOCABULARY[:100]
    texts = [" ".join(words[first : first + 80]) for first in (0, 8, 16)]
    sets = sets_of(table(texts))
    assert jaccard(sets[0], sets[2]) < 0.8 < jaccard(sets[0], sets[1])
    assert found_labels(table(texts), 0.8).tolist() == [0, 0, 0]


def count_comparisons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts = []
    jaccard = join._jaccard

    def counting(sets: join._Sets, pairs: np.ndarray) -> np.ndarray:
        counts.append(pairs.shape[1])
        return jaccard(sets, pairs)

    monkeypatch.setattr(join, "_jaccard", counting)
    return counts


def test_many_records_of_one_boilerplate_are_one_group_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = count_comparisons(monkeypatch)
    draw = random.Random(6)
    words = draw.choices(VOCABULARY, k=60)
    places = [draw.randrange(60) for _ in range(50_000)]
    texts = [" ".join([*words[:place], f"new{number}", *words[place + 1 :]]) for number, place in enumerate(places)]
    assert not found_labels(table(texts), 0.8).any()
    assert sum(counts) < 15 * len(texts)


def test_many_records_of_one_template_stay_apart_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Similarity 0.78 to each other, but twins of 0.88 among them."""
    counts = count_comparisons(monkeypatch)
    draw = random.Random(7)
    template = draw.choices(VOCABULARY, k=42)
    texts = []
    for number in range(5_000):
        own = [f"own{number}x{word}" for word in range(7)]
        texts += [" ".join([*own, "one", *template]), " ".join([*own, "two", *template])]
    labels = found_labels(table(texts), 0.8)
    assert (labels // 2 == np.arange(len(texts)) // 2).all()
    assert (labels % 2 == 0).mean() > RECALL
    assert sum(counts) < 10 * len(texts)
