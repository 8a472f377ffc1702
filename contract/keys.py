"""The key that orders the catalogue, and the split that follows from a title."""

from hashlib import blake2b

from contract.columns import KEY_BYTES


def record_key(title: str, content: str) -> bytes:
    """128-bit hash of a record's cleaned text. Equal keys are exact duplicates; order by key is a global shuffle."""
    # Cleaned text holds no line feed, so the join is unambiguous.
    return blake2b(f"{title}\n{content}".encode(), digest_size=KEY_BYTES).digest()


def split_of(title: str, *, val_share: float, test_share: float, seed: int) -> str:
    """The split of all records of one cleaned title; other records and their number play no part.

    >>> {split_of(f"Title {i}", val_share=0.0, test_share=0.0, seed=0) for i in range(100)}
    {'train'}
    """
    digest = blake2b(title.encode(), digest_size=8, salt=seed.to_bytes(8, "little")).digest()
    position = int.from_bytes(digest, "big") / 2**64
    if position < val_share:
        return "val"
    return "test" if position < val_share + test_share else "train"
