"""Catalogues in the shape of public ones, each prepared as its owner would: by the first command that does."""

import json
import re
import shlex
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from command.options import parse_settings
from contract.errors import UserError
from contract.reasons import REASON_NAMES
from spark_jobs.config import PrepareConfig
from spark_jobs.prepare import prepare
from tests.spark_jobs.catalogues import all_records
from tests.spark_jobs.conftest import SparkHolder

pytestmark = pytest.mark.spark

NUM = 12
HTML = '<div class="aplus"><p>Holds &amp; pours {}&nbsp;ml.</p><ul><li>Steel</li></ul></div>'


class Catalogue(NamedTuple):
    """A file in the shape of a public catalogue, and what its owner sees in it."""

    name: str
    text: str
    options: str  # that the owner types, or "" for those that the error message names
    first: tuple[str, str, str]  # uid, title and description of one record, cleaned
    lines: int = NUM
    rejected: Mapping[str, int] = MappingProxyType({})


def amazon_2014() -> Catalogue:
    rows: list[dict[str, Any]] = [
        {"asin": f"B{n:04}", "title": f'Kid\'s "Mug" {n}', "description": f"Holds {n} ml, it's steel.", "price": n / 4}
        for n in range(NUM)
    ]
    rows[1] |= {"related": {"also_viewed": ["B1", "B2"]}, "salesRank": {"Toys": 5}, "categories": [["A", "B & C"]]}
    del rows[2]["description"], rows[3]["title"]
    first = ("B0000", 'Kid\'s "Mug" 0', "Holds 0 ml, it's steel.")
    return Catalogue("meta_Toys.json", "\n".join(map(repr, rows)), "", first, NUM, {"no_title": 1, "no_content": 1})


def amazon_2018() -> Catalogue:
    rows = [
        {
            "category": ["Kitchen", "Mugs &amp; Cups"],
            "tech1": "",
            "description": [HTML.format(n), "", "Made in Portugal."],
        }
        | {
            "fit": "",
            "title": f"Mug &amp; Lid {n}",
            "also_buy": [],
            "feature": [],
            "rank": [">#1 in x"],
            "asin": f"B{n}",
        }
        for n in range(NUM)
    ]
    rows[1]["description"] = []
    rows[2]["title"] = 'var aPageStart = (new Date()).getTime();\n<span class="a-size-medium">'
    first = ("B0", "Mug & Lid 0", "Holds & pours 0 ml. Steel Made in Portugal.")
    return Catalogue("meta_Kitchen.json", "\n".join(map(json.dumps, rows)), "", first, NUM, {"no_content": 1})


def amazon_2023() -> Catalogue:
    rows = [
        {"main_category": "Home", "title": f"Mug {n}", "average_rating": 4.5, "features": ["Steel", "Keeps warm"]}
        | {"description": [f"Holds {n} ml."] if n else [], "price": None, "images": [{"thumb": "x", "variant": "MAIN"}]}
        | {"videos": [], "details": {"Brand": "X", "Weight": "1 lb"}, "parent_asin": f"C{n}", "bought_together": None}
        for n in range(NUM)
    ]
    text = "\n".join(map(json.dumps, rows)).replace('"average_rating": 4.5', '"average_rating": NaN', 1)
    options = "--content-field features,description --id-field parent_asin"
    return Catalogue("meta_Home.jsonl", text, options, ("C0", "Mug 0", "Steel Keeps warm"))


def merchant_rss() -> Catalogue:
    items = "".join(
        f"<item><g:id>sku-{n}</g:id><title><![CDATA[Mug & Lid {n}]]></title><link>https://example.com/{n}</link>"
        f"<description>{escape(HTML.format(n))}</description><g:price>9.99 EUR</g:price>"
        f"<g:shipping><g:country>PT</g:country></g:shipping><g:shipping><g:country>ES</g:country></g:shipping></item>\n"
        for n in range(NUM)
    )
    head = (
        '<?xml version="1.0"?>\n<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel><title>Shop</title>'
    )
    text = f"{head}<link>https://example.com</link><description>All</description>{items}</channel></rss>"
    return Catalogue("feed.xml", text, "", ("sku-0", "Mug & Lid 0", "Holds & pours 0 ml. Steel"))


def merchant_atom() -> Catalogue:
    entries = "".join(
        f"<entry><g:id>{n}</g:id><g:title>Caneca {n}</g:title>"
        f"<g:description>Cabem {n} ml &#8211; aço.</g:description></entry>"
        for n in range(NUM)
    )
    head = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Loja</title>'
    options = "--title-field g:title --content-field g:description --id-field g:id"
    return Catalogue("feed.atom", f"{head}{entries}</feed>", options, ("0", "Caneca 0", "Cabem 0 ml - aço."))


def algolia() -> Catalogue:
    rows = [
        {"objectID": str(n), "name": {"en": f"Mug {n}", "pt": f"Caneca {n}"}, "categories": {"lvl0": ["Kitchen"]}}
        | {
            "description": {"en": f"Holds {n} ml.", "pt": f"Cabem {n} ml."},
            "variants": [{"sku": f"{n}-a", "price": 1.5}],
        }
        | {"_highlightResult": {"name": {"en": {"value": "<em>Mug</em>", "matchedWords": []}}}}
        for n in range(NUM)
    ]
    options = "--title-field name.pt --content-field description.pt --id-field objectID"
    return Catalogue("products.json", json.dumps(rows), options, ("0", "Caneca 0", "Cabem 0 ml."))


def algolia_answer() -> Catalogue:
    rows = json.loads(algolia().text)
    text = json.dumps({"nbHits": NUM, "facets": {"x": [{"count": 1}]}, "hits": rows, "params": "query=[{"}, indent=2)
    return Catalogue("answer.json", text, "", ("0", "Mug 0", "Holds 0 ml."))


def best_buy() -> Catalogue:
    rows = [
        {"sku": 43900 + n, "name": f"Duracell - Mug {n}", "type": "HardGood", "price": 5.49, "upc": "041333424019"}
        | {"category": [{"id": "abcat0", "name": "Gifts"}, {"id": "pcm1", "name": "Mugs"}], "shipping": ""}
        | {"description": f"Compatible with select devices; {n}-pack", "manufacturer": "Duracell", "image": None}
        for n in range(NUM)
    ]
    first = ("43900", "Duracell - Mug 0", "Compatible with select devices; 0-pack")
    return Catalogue("products.json", "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n", "", first)


def mercado_livre_search() -> Catalogue:
    rows = [
        {"id": f"MLB{n}", "title": f"Caneca {n}", "price": 10, "seller": {"id": 5}, "thumbnail": None}
        | {
            "attributes": [
                {"id": "BRAND", "name": "Marca", "value_name": "Tramontina"},
                {"id": "X", "value_name": None},
            ]
        }
        for n in range(NUM)
    ]
    answer = {"site_id": "MLB", "paging": {"total": NUM}, "results": rows, "sort": {"id": "relevance", "name": "x"}}
    answer |= {"available_filters": [{"id": "c", "name": "Cor", "values": [{"id": "1", "name": "Azul"}]}]}
    options = "--content-field attributes.value_name --id-field id"
    return Catalogue("busca.json", json.dumps(answer, ensure_ascii=False), options, ("MLB0", "Caneca 0", "Tramontina"))


def mercado_livre_items() -> Catalogue:
    rows = [
        {"code": 200, "body": {"id": f"MLB{n}", "title": f"Caneca {n}", "warranty": False, "sold": 3}}
        | {"description": {"text": "", "plain_text": f"Cabem {n} ml.\nAço."}}
        for n in range(NUM)
    ]
    options = "--title-field body.title --content-field description.plain_text --id-field body.id"
    return Catalogue(
        "itens.json", json.dumps(rows, ensure_ascii=False), options, ("MLB0", "Caneca 0", "Cabem 0 ml. Aço.")
    )


MAKERS = [amazon_2014, amazon_2018, amazon_2023, merchant_rss, merchant_atom, algolia, algolia_answer, best_buy]
MAKERS += [mercado_livre_search, mercado_livre_items]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_catalogue_is_prepared_by_the_first_command_that_does(
    make: Callable[[], Catalogue], tmp_path: Path, spark_holder: SparkHolder
) -> None:
    spark_holder.get("local[2]")
    catalogue = make()
    (tmp_path / catalogue.name).write_text(catalogue.text)
    fixed = ["--input", str(tmp_path / catalogue.name), "--output", str(tmp_path / "out"), "--master", "local[2]"]
    fixed += ["--text-profile", "natural", "--val-share", "0", "--test-share", "0"]
    options = catalogue.options
    if not options:
        with pytest.raises(UserError) as caught:
            prepare(parse_settings(PrepareConfig, fixed, prog="test", description=""))
        options = re.search(r" try (--.*)$", str(caught.value))[1]  # type: ignore[index]
    manifest = prepare(parse_settings(PrepareConfig, [*fixed, *shlex.split(options)], prog="test", description=""))
    rows = manifest.rows
    assert rows.input == catalogue.lines == rows.kept + sum(rows.rejected.values())
    assert rows.rejected == dict.fromkeys(REASON_NAMES, 0) | dict(catalogue.rejected)
    found = [(row["uid"], row["title"], row["content"]) for row in all_records(tmp_path / "out")]
    assert catalogue.first in found, sorted(found)[:3]
