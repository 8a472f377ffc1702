"""Pools that every grammar shares: names, places, colours, numbers, and what people say of any product."""

from synth.text import parse_grammar

_NAMES = parse_grammar(
    """
first: Ada | Agnes | Albert | Alfred | Alice | Amelia | Amos | Anita | Anton | Arthur | Astrid | August | Beatrice
    Bernard | Bertha | Boris | Bruno | Carla | Cecil | Celia | Clara | Clarissa | Claude | Conrad | Cora | Cyril
    Dagmar | Daphne | Delia | Desmond | Dora | Duncan | Edgar | Edith | Edmund | Elena | Elias | Elsa | Emil | Enid
    Erica | Ernest | Esther | Ethel | Eugene | Eva | Felix | Fergus | Fiona | Flora | Frances | Frieda | Gareth
    Gerda | Gilbert | Gloria | Greta | Gwen | Hanna | Harold | Harriet | Hector | Helga | Henry | Hilda | Hugo | Ida
    Ingrid | Irene | Iris | Isaac | Ivan | Ivy | Jasper | Joan | Jonas | Judith | Julian | Karin | Keith | Klara
    Lars | Laura | Leo | Leonard | Lydia | Magda | Malcolm | Marcus | Martha | Matilda | Maud | Maxim | Mildred
    Miriam | Morris | Nadia | Naomi | Nigel | Nora | Olga | Oscar | Otto | Pauline | Percy | Petra | Philippa
    Quentin | Ralph | Ramona | Rex | Rhoda | Roland | Rosa | Rufus | Ruth | Samuel | Selma | Sidney | Silas | Simone
    Stella | Tamara | Thelma | Theodore | Tilda | Tobias | Ulrich | Una | Ursula | Vera | Victor | Viola | Walter
    Wanda | Wilfred | Winifred | Xenia | Yolanda | Yvonne | Zelda
beginning: Ash | Barn | Black | Blythe | Brad | Brook | Cald | Carl | Chal | Clay | Cole | Cran | Dal | Den | Dray
    Dun | East | Eld | Ever | Fair | Farn | Fen | Garth | Glen | Hal | Harl | Hart | Haw | Hazel | Holl | Kel | Kirk
    Lang | Lin | Lock | Marl | Mere | Mid | Nether | North | Oak | Pem | Pen | Quill | Rad | Raven | Red | Rush | Sand
    Sel | Shel | Stan | Strat | Thorn | Thur | Til | Under | Wal | War | Wend | West | Whit | Wood | Yar
ending: beck | berry | bourne | brook | bury | by | combe | cott | croft | den | field | ford | gate | grave | ham
    land | ley | low | mere | ridge | over | stead | thorpe | ton | ward | wick | win | worth
""",
    base={},
)

FIRST_NAMES = _NAMES["first"]
LAST_NAMES = tuple(dict.fromkeys(start + end for start in _NAMES["beginning"] for end in _NAMES["ending"]))

SHARED = parse_grammar(
    """
first+: Aurélie | Björn | Chloé | Dai | Eilidh | Farah | Gita | Håkon | Imani | Jens | Kaito | Lucía | Mehmet | Noor
    Oisín | Priya | Rashid | Siobhán | Tomás | Umar | Vikram | Wen | Yusuf | Zoë | Anneke | Bashir | Dmitri | Eszter
    Giulia | Hamid | Ines | Joaquín | Kwame | Leila | Marek | Nils | Olena | Pilar | Renée | Sanjay | Tove | Vilém
last+: Abara | Bianchi | Castellanos | Dvořák | Eriksen | Fontaine | Gálvez | Haddad | Ibsen | Jankowski | Kovács
    Lindqvist | Moreau | Nakagawa | Okafor | Petrov | Quispe | Rasmussen | Salazar | Takeda | Ueno | Vandamme | Wójcik
    Yilmaz | Zamora | Achebe | Bergström | Cienfuegos | D'Amico | O'Rourke | Müller | Núñez | Sørensen
person: {first} {last}
village: {surname}
place: Lisbon | Bergen | Ghent | Cadiz | Porto | Trieste | Leeds | Aberdeen | Galway | Tallinn | Krakow | Utrecht
    Marseille | Salzburg | Verona | Toledo | Antwerp | Malmo | Vermont | Oregon | Nova Scotia | Tasmania | Cornwall
    Brittany | Patagonia | Kyoto | Osaka | Hanoi | Jaipur | Fez | Zanzibar | Montevideo | Valparaiso | Quito | Oaxaca
    Savannah | Duluth | Boise | Tucson | Baltimore | Winnipeg | Hobart | Wellington | Reykjavik | Narvik | Gdansk
    Ljubljana | Plovdiv | Izmir | Beirut | Samarkand | Vladivostok | Penang | Cebu | Accra | Dakar | Cape Town
    Recife | Belém | São Paulo | Coimbra | Evora | Orkney | Anglesey | Suffolk | the Azores | the Fens | the Hebrides
year: 1947..2014
since: 1871..1998
month: January | February | March | April | May | June | July | August | September | October | November | December
season: spring | summer | autumn | winter
few: two | three | four | five | six | seven
dozen: 8..40
years: 2..15
percent: 15..85
tens: 20 | 30 | 40 | 50 | 60 | 70 | 80 | 90
inch: 4..48
tall: 2..36
fraction: 1/4 | 1/2 | 3/4 | 3/8 | 5/8
dimensions: {inch} x {tall} inches | {inch}'' x {tall}'' | {inch} by {tall} cm | {inch} x {tall} x {years} in.
weight: {tens} g | {dozen} ounces | {few} pounds | {years}.5 kg | {dozen} lbs
temperature: {tens} °C | {percent}0 °F
her: her | his
colour: red | scarlet | crimson | burgundy | coral | apricot | orange | amber | mustard | lemon | lime | olive | sage
    emerald | teal | turquoise | sky blue | navy | cobalt | indigo | violet | plum | lavender | rose | fuchsia | cream
    ivory | white | silver | slate | charcoal | black | chocolate | walnut brown | sand | copper | brass | bronze
brand: Kestrel | Brightwell | Oakhollow | Norvane | Tarnwick | Luminor | Pellworth | Quillon | Stavely | Marrowby
    Fjordline | Calderhouse | Ember & Vale | Hollis Brothers | Tidewright | Verdanta | Zephyrine | Copperleaf
    Aldermoor | Bexcombe | Corvina | Drumlin | Elmsgate | Fennimore | Gullwing | Hartsease | Inverdale | Juniper Row
    Kinloch | Larkfield | Mossgate | Nettleby | Orrin & Daughters | Pinecrest | Rookhaven | Saltmarsh | Thistledown
    Umberley | Vantry | Wrenfold | Yewtree | Zellinger | Bluecairn | Cloverdell | Dovetail & Sons | Everstone
newspaper: Harbour Gazette | Northern Ledger | Evening Lantern | Tribune of Letters | Valley Courier | Sunday Compass
    Island Herald | Paper Review | Lowland Observer | Quarterly Shelf | Morning Beacon | Riverside Post | Reader's Owl
    Book Window | Weekly Margin | City Chronicle | Attic Review | Saturday Pen
praise: a quiet triumph | wise and very funny | hard to put down | as sharp as a winter morning | beautifully made
    impossible to forget | rich, odd and generous | better with every visit | a small miracle of patience | sheer joy
    honest to the bone | full of surprises | warm without being sweet | exactly what was missing | a rare achievement
    full of salt and daylight | never once dull | worth every penny | clear as a bell | bold from first to last
    lean, quick and bright | far ahead of its rivals | built to outlive fashion | tender, strange, exact
boilerplate: --This text refers to the {edition} edition. | --The notes above belong to the {edition} version.
    --Said of an earlier {edition} edition.
    --This text refers to an out of print or unavailable edition of this title.
    Text on this page may describe a different edition. | --From the {edition} jacket. | About the Maker
    Product Description | --Wording taken from the {edition} release. | See all editorial notes.
trade: cartographer | lighthouse keeper | midwife | piano tuner | beekeeper | clockmaker | stowaway | court painter
    retired judge | trapeze artist | schoolteacher | ferryman | botanist | forger | baker | radio operator
    novice nun | ship's cook | diplomat | bookbinder | gravedigger | violinist | translator | smuggler | glassblower
    surveyor | laundress | goalkeeper | astronomer | locksmith | widow | orphan | detective | fisherman | typesetter
    puppeteer
edition: Paperback | Hardcover | Library Binding | Mass Market | Audio CD | Board Book | Large Print | Revised
kana: 桜の道 | 夜の海 | 白い猫 | 山のうた | 雨とピアノ | 星の手紙 | 青い鳥籠 | 木もれび | 京都散歩 | 冬の台所
""",
    base={"first": FIRST_NAMES * 3, "last": LAST_NAMES[::6], "surname": LAST_NAMES},
)
