"""Delimited catalogues as shops export them, prepared by the command that their owner types first or is told to type.

Each is made in small, with the columns and the dirt of the real ones.
"""

from pathlib import Path
from typing import NamedTuple

import pytest

from contract.errors import UserError
from contract.manifest import Manifest
from tests.spark_jobs.catalogues import all_records
from tests.spark_jobs.conftest import Prepare

pytestmark = pytest.mark.spark


class Catalogue(NamedTuple):
    """Files by name, the fields that their owner names, and what comes of it."""

    files: dict[str, str | bytes]
    fields: tuple[str, str, str]  # id, title, description
    records: dict[str, tuple[str, str]]  # titles and descriptions by id, cleaned by the profile `natural`
    rejected: dict[str, int]
    message: str = ""  # of the first command, if it is refused
    then: dict[str, str] = {}  # noqa: RUF012  # what that message says to add


SHOPIFY = (
    'Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Price,"Image'
    ' Src"\n'
    'oak-stool,Oak Stool,"<p>Solid oak, <strong>three</strong> legs.</p>\n<ul>\n<li>12"" wide</li>\n</ul>",Acme,Stools,'
    '"oak, stool",true,Size,S,ST-1,29.00,https://cdn.example/1.jpg?v=1\n'
    "oak-stool,,,,,,,,L,ST-2,39.00,https://cdn.example/2.jpg?v=1\n"
    "tea-mug,Tea Mug ☕,<p>Holds tea.</p>,Acme,Mugs,,true,Title,Default Title,MG-1,9.00,\n"
)
WOOCOMMERCE = (
    '\ufeffID,Type,SKU,Name,Published,"Is featured?","Short description",Description,"Tax status","In stock?",'
    'Categories,"Meta: _edit_last"\n'
    '44,simple,woo-beanie,Beanie,1,0,"Warm.","<p>A warm beanie, 100% wool.</p>\n\n<p>Made in ""Porto"".</p>",taxable,1,'
    '"Clothing > Hats, Winter",1\n'
    '45,variable,woo-belt,Belt,1,0,,"Leather, 85"" long",taxable,1,Clothing,\n'
    '46,simple,woo-cap,"Cap, ""blue""",1,0,,A cap.\\nOne size.,taxable,0,Clothing,\n'
)
FLIPKART = (
    "uniq_id,crawl_timestamp,product_name,product_category_tree,pid,retail_price,description,product_specifications\n"
    'c2d766ca,2016-03-25 22:59:23 +0000,Alisha Solid Women\'s Cycling Shorts,"[""Clothing >> Women\'s Clothing""]",'
    'SRTE1,999,"Key Features of Alisha Solid Women\'s Cycling Shorts Cotton Lycra Navy, Red\tSpecifications","{""a""=>['
    '{""k""=>""Number of Contents in Sales Package"", ""v""=>""Pack of 3""}]}"\n'
    'f449ec65,2016-03-25 22:59:23 +0000,FabHomeDecor Sofa Bed,"[""Furniture""]",SBEE,32157,"Strength 3"" foam,\nmild'
    ' steel","{}"\n'
    'a1,2016-03-25 22:59:23 +0000,AW Bellies,"[""Footwear""]",SHOE,999,,"{}"\n'
)
MERCHANT = (
    "id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tgoogle_product_category\n"
    '1\t10" Cast Iron Pan\tA pan, 10" wide.\thttps://s.example/1\thttps://s.example/1.jpg\tin_stock\t29.00 EUR\t654\n'
    '2\t"Best" Kettle\tBoils fast.\thttps://s.example/2\t\tin_stock\t19.00 EUR\t\n'
    '3\t"Unclosed Kettle\tBoils slowly.\thttps://s.example/3\t\tin_stock\t9.00 EUR\t\n'
    "4\tOak Stool\tSolid oak.\thttps://s.example/4\t\tout_of_stock\t9.00 EUR\n"
    "5\tPine Stool\tPainted pine.\thttps://s.example/5\t\tin_stock\t9.00 EUR\t\n"
)
OPEN_FOOD_FACTS = (
    "code\turl\tcreator\tcreated_t\tproduct_name\tabbreviated_product_name\tgeneric_name\tquantity\tpackaging\tbrands\n"
    '0000101209159\thttp://w.example/1\tkiliweb\t1518\tVéritable pâte à tartiner\t\tPâte "noisette" 40%\t350 g\t\t'
    "Bovetti\n"
    '0000105000011\thttp://w.example/2\tkiliweb\t1572\t"Chamomile Herbal Tea\t\tTea, "organic\t\tBox\tLagg\'s\n'
    "0000105000042\thttp://w.example/3\tkiliweb\t1572\tLagg's mint tea\t\tMint\t\t\t\n"
)
MERCADO_LIVRE = (
    '"SKU";"Título: informe o produto,\nmarca e modelo";"Descrição";"Preço [R$]";"Estoque"\r\n'
    '"ML-1";"Chaleira Elétrica 1,7 L";"Ferve rápido; 220 V.\r\n\r\nGarantia: 12 meses";"R$ 129,90";"10"\r\n'
    '"ML-2";"Copo ""Açaí"" 500 ml";"Copo de vidro";"R$ 19,90";"0"\r\n'
    '"ML-3";"Caneca";"";"R$ 9,90";"3"\r\n'
)
SHEET = (
    'Código;Descrição;Detalhes;Preço\r\n1;Pão de forma;"Macio; 500 g";"7,90"\r\n2;Café torrado – forte;Moído, 250 g;'
    '"12,50"\r\n3;Suco;Maçã e limão;5\r\n'
)
BEST_BUY = (
    "sku,name,type,price,upc,category,shipping,description,manufacturer,url\n"
    '43900,Duracell - AAA Batteries (4-Pack),HardGood,5.49,041333424019,"[{""id"":""pcmcat3"",""name"":""Mug""}]",'
    '5.49,"Compatible with select electronic devices; AAA size; 4-pack",Duracell,http://b.example/1\n'
    '48530,"Sony - 32"" Class LED TV",HardGood,199.99,,"[]",,"32"" screen, 720p",Sony,\n'
    '127687,Case,HardGood,9.99,,"[]",,Fits ""most"" phones,,\n'
)
_PART = "products.csv/part-00000-fc105afa-3ce9-4fb2-b14c-b178fec40de9-c000.csv"
_SPARK_ROWS = (
    'u0,Oak Stool,"Solid \\"oak\\", <b class=\\"x\\">three</b> legs.",Books\nu1,Pine Stool,"Painted\npine.",Books\n'
)
_SPARK_FILES = {"products.csv/_SUCCESS": b"", f"products.csv/.{_PART.rpartition('/')[2]}.crc": b"crc\0\0\0\2\0"}
_STOOLS = {"u0": ("Oak Stool", 'Solid "oak", three legs.'), "u1": ("Pine Stool", "Painted pine.")}

CATALOGUES = {
    "Shopify": Catalogue(
        {"products_export.csv": SHOPIFY},
        ("Handle", "Title", "Body (HTML)"),
        {"oak-stool": ("Oak Stool", 'Solid oak, three legs. 12" wide'), "tea-mug": ("Tea Mug", "Holds tea.")},
        {"no_title": 1},
    ),
    "WooCommerce": Catalogue(
        {"wc-product-export.csv": WOOCOMMERCE},
        ("SKU", "Name", "Description"),
        {
            "woo-beanie": ("Beanie", 'A warm beanie, 100% wool. Made in "Porto".'),
            "woo-belt": ("Belt", 'Leather, 85" long'),
            "woo-cap": ('Cap, "blue"', "A cap. One size."),
        },
        {},
    ),
    "Flipkart": Catalogue(
        {"flipkart_com-ecommerce_sample.csv": FLIPKART},
        ("uniq_id", "product_name", "description"),
        {
            "c2d766ca": (
                "Alisha Solid Women's Cycling Shorts",
                "Key Features of Alisha Solid Women's Cycling Shorts Cotton Lycra Navy, Red Specifications",
            ),
            "f449ec65": ("FabHomeDecor Sofa Bed", 'Strength 3" foam, mild steel'),
        },
        {"no_content": 1},
    ),
    "Google Merchant": Catalogue(
        {"feed.tsv": MERCHANT},
        ("id", "title", "description"),
        {
            "1": ('10" Cast Iron Pan', 'A pan, 10" wide.'),
            "2": ('"Best" Kettle', "Boils fast."),
            "3": ('"Unclosed Kettle', "Boils slowly."),
            "5": ("Pine Stool", "Painted pine."),
        },
        {"not_a_record": 1},
    ),
    "Open Food Facts": Catalogue(
        {"en.openfoodfacts.org.products.csv": OPEN_FOOD_FACTS},
        ("code", "product_name", "generic_name"),
        {
            "0000101209159": ("Véritable pâte à tartiner", 'Pâte "noisette" 40%'),
            "0000105000011": ('"Chamomile Herbal Tea', 'Tea, "organic'),
            "0000105000042": ("Lagg's mint tea", "Mint"),
        },
        {},
    ),
    "Mercado Livre": Catalogue(
        {"anuncios.csv": MERCADO_LIVRE.encode("utf-8-sig")},
        ("SKU", "Título: informe o produto, marca e modelo", "Descrição"),
        {
            "ML-1": ("Chaleira Elétrica 1,7 L", "Ferve rápido; 220 V. Garantia: 12 meses"),
            "ML-2": ('Copo "Açaí" 500 ml', "Copo de vidro"),
        },
        {"no_content": 1},
    ),
    "a Portuguese sheet of Excel": Catalogue(
        {"produtos.csv": SHEET.encode("cp1252")},
        ("Código", "Descrição", "Detalhes"),
        {
            "1": ("Pão de forma", "Macio; 500 g"),
            "2": ("Café torrado - forte", "Moído, 250 g"),
            "3": ("Suco", "Maçã e limão"),
        },
        {},
        message=r"is not UTF-8: read as cp1252, .* 'Descrição', .*add --encoding cp1252",
        then={"encoding": "cp1252"},
    ),
    "Best Buy": Catalogue(
        {"products.csv": BEST_BUY},
        ("sku", "name", "description"),
        {
            "43900": (
                "Duracell - AAA Batteries (4-Pack)",
                "Compatible with select electronic devices; AAA size; 4-pack",
            ),
            "48530": ('Sony - 32" Class LED TV', '32" screen, 720p'),
            "127687": ("Case", 'Fits ""most"" phones'),
        },
        {},
    ),
    "a folder of Spark": Catalogue(
        {**_SPARK_FILES, _PART: f"uid,title,content,category\n{_SPARK_ROWS}"}, ("uid", "title", "content"), _STOOLS, {}
    ),
    "a folder of Spark without names": Catalogue(
        {**_SPARK_FILES, _PART: _SPARK_ROWS},
        ("uid", "title", "content"),
        _STOOLS,
        {},
        message=r"has no column 'title' .*name the columns by --columns, as in --columns id,name,description",
        then={"columns": "uid,title,content,category"},
    ),
}


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_becomes_what_its_owner_sees(name: str, run: Prepare, tmp_path: Path) -> None:
    catalogue = CATALOGUES[name]
    for path, data in catalogue.files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data if isinstance(data, bytes) else data.encode())
    first = tmp_path / next(iter(catalogue.files))
    source = first.parent if len(catalogue.files) > 1 else first

    def prepare(**more: str) -> Manifest:
        uid, title, content = catalogue.fields
        fields = {"id_field": uid, "title_field": title, "content_field": content}
        return run(source, tmp_path / "out", text_profile="natural", drop_repeated_titles=False, **fields, **more)

    if catalogue.message:
        with pytest.raises(UserError, match=catalogue.message):
            prepare()
    manifest = prepare(**catalogue.then)

    found = {row["uid"]: (row["title"], row["content"]) for row in all_records(tmp_path / "out")}
    assert found == catalogue.records
    assert {reason: count for reason, count in manifest.rows.rejected.items() if count} == catalogue.rejected
    assert manifest.rows.input == len(catalogue.records) + sum(catalogue.rejected.values())


def test_advice_fits_the_format(run: Prepare, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("uid,title,content\n1,Oak\n2,Pine\n")
    message = (
        r"rejected: 2 not_a_record; expected in each row as many values as there are columns; --quote and --escape"
    )
    with pytest.raises(UserError, match=message) as caught:
        run(tmp_path / "a.csv", tmp_path / "out")
    assert "JSON" not in str(caught.value)
