"""Grammars of stories, and what all books have in common. A book is told apart by its author: `{mark}` is a person."""

from synth.grammars.words import SHARED
from synth.text import Kind, parse_grammar

PRINT = parse_grammar(
    """
pages: 48..960
binding: Paperback | Hardcover | Trade paperback | Cloth | Spiral bound | Slipcased | Pocket format | Large print
publisher: Lantern & Finch | Old Quay Press | Heron House | Meridian Loom | Green Door Books | Saltbox Editions
    Ninth Wave | Foxglove University Press | Tall Ship | Paper Orchard | Winterbourne | Red Kite | Blackthorn & Moss
    Little Tern | Copper Beech Books | Ostrich Feather Press | Slow Train Publishing | Milestone | The Attic Press
prize: Silver Quill | Carraway Medal | Golden Bookmark | Meridian Prize | Blue Ribbon for Letters | Albany Cup
extras: (Paperback) | (Hardcover) | : {edition} Edition | , {years}th Edition | ({publisher}) | , {year} Edition
    (Illustrated) | (Signed Copy) | , Volume {years} | (v. {years}) | [Large Print]
    ({publisher} Library, No. {dozen}) | & Other Writings | (Revised and Expanded) | , with a New Preface by {person}
    - {year} Printing | (Book {years}) | [With CD] | (Pocket Guides) | , Introduced by {person} | [Import, {year}]
""",
    base=SHARED,
)

_NOVEL = """
fixed: place | trade | rival | her | publisher | pages | year | binding
rival: {other_trade}
mood: Silent | Crooked | Borrowed | Winter | Hollow | Burning | Last | Lost | Paper | Salt | Distant | Forgotten
    Gentle | Scarlet | Seventh | Glass | Wandering | Second | Midnight | Impossible | Drowned | Patient | Broken
    Hidden | Iron | Bitter | Golden | Tidal | Stolen | Unfinished | Whispering | Northern | Velvet | Sleeping
    Invisible | Long | Feral
thing: Harbour | Orchard | Cartographer | Staircase | Lighthouse | Winter | Archive | Garden | Sparrow | Compass
    Mirror | Ferry | Letter | Kingdom | Violin | Clock | Bridge | River | Daughter | Widow | Island | Promise | Shadow
    Season | Window | Map | Tide | Inheritance | Guest | Train | Market | Anatomy | Bell | Almanac | Alibi
    Apprentice | Atlas | Bonfire | Cathedral | Confession | Country | Dance | Echo | Feast | Fox | Ghost | House
    Hour | Hunt | Key | Knife | Lantern | Ledger | Migration | Monsoon | Moth | Needle | Night | Opera | Passage
    Pilgrim | Question | Quarry | Raven | Road | Salt | Secret | Snow | Song | Stranger | Theatre | Thief | Thread
    Vineyard | Voyage | Wedding | Well | Wolf
titles: {surname}'s {thing} | {first} {surname} | {surname} & {surname} | {mood} {surname} | The {thing} of {village}
    The {mood} {thing} of {village} | A {thing} for {first} {surname} | The {trade} and the {mood} {thing}
    Under {village} {thing} | {first} and the {mood} {thing} | Before {village}, the {thing}
    What the {thing} Knew About {surname} | {few} {thing}s for {surname}
    The {mood} {thing}: A {first} {last} Mystery | Return to {village} {thing} | {mood} {thing}, {mood} {thing}
    The {thing} Beyond {village} | A {season} in {village} with {first} | Everything {first} {surname} Left Behind
    No {thing} for {first} {surname} | The {thing} and the {trade} of {village} | How the {thing} Came to {village}
    {first}, Who Stole the {mood} {thing} | Murder at {village} {thing} | The {month} {thing} of {surname}
    Letters from a {mood} {thing} in {place} | {year}: The {mood} {thing}
    The {mood} {thing} and the {mood} {thing} of {place}
quest: search for a missing twin | bury an old friend | sell the family house | forge one last painting
    cross a frozen border on foot | decode a diary | win back a ruined vineyard | hide a stranger from the police
    find out who poisoned the well | rebuild a burnt theatre | smuggle {dozen} songbirds past customs
    return a stolen violin | teach a prince to read | survive one more {season} | answer an anonymous letter
    follow a circus train | keep a promise made in {year} | outwit a crooked notary | map an island that keeps moving
    nurse a wounded deserter | clear {her} name | catch the {month} ferry | raise a wolf cub | learn to lie
secret: a locked room full of maps | {few} love letters and a pistol | a child nobody mentions
    a debt older than the war | {her} own name on a gravestone | a half-finished opera | coded weather reports
    a sister given away in {year} | the wrong body | a ledger of bribes | a vanished painting
    fingerprints on the altar silver | forged birth papers | a buried rowing boat | {dozen} unsent postcards
    a recipe for poison | proof that the fire was no accident
theme: grief and its odd comforts | the price of loyalty | first love | forgiveness | exile | ambition | sisterhood
    small-town justice | hunger and pride | memory | inheritance | the sea's long patience | class and cruelty | faith
verb: betrays | marries | shadows | forgives | hires | blackmails | rescues | adopts | outlives | deceives | adores
genre: thriller | love story | historical novel | comedy of manners | ghost story | family saga | detective novel
    coming-of-age tale | western | sea story | fable | satire | war novel | domestic drama | road novel | romance
extras+:
    : A Novel of {theme}
    : The Story of a {trade} and a {rival}
    , Followed by {few} Tales from {place}
    (The {mood} {thing} Trilogy, Book {few})
    , or How to {quest}
briefs: A {genre} by {mark}. | {mark}: {genre}, {year}. | By {mark}, about {theme}. | {mark}'s {place} {genre}.
    Author: {mark}. {pages} pages. | {Genre}. {mark}. | {mark} on {theme}.
leads: In {place}, a {trade} has until {month} to {quest}. {mark} tells the story.
    {mark}'s {genre} begins with {secret} and ends at sea.
    A {trade}. A {rival}. One chance to {quest}. The new {genre} by {mark}.
    {Genre}, {year}, {pages} pages: {mark} sends a {trade} from {place} to {quest}.
    When a {trade} discovers {secret}, nobody in {place} sleeps well again. By {mark}.
    {mark} was raised in {place}, trained as a {trade}, and turned to fiction after {year}.
    "{praise}" said the_{newspaper}_of this {genre}, in which {mark} lets a {trade} {quest}.
    Who would trust a {trade} hiding {secret}? {mark} asks, and {place} answers.
    Nobody told the {rival} about {secret}. {mark} sets the revenge in {place} during {year}.
    Written by {mark} on night trains, this {genre} explores {theme} through one {trade}'s attempt to {quest}.
    {theme}: such is the matter of {mark}'s {pages}-page {genre} about a {trade} and a {rival}.
    To {quest}, somebody must lie. Set around {place}; author {mark}; {publisher}, {year}.
    {few} generations, {dozen} secrets, a single {trade}. {mark} at full stretch.
    Winner of the {prize}. {mark} imagines how a {rival} {verb} the {trade} who found {secret}.
details: The {trade} wants only to {quest}, but a {rival} {verb} everyone within reach.
    Then {secret} turns up... and all of {place} takes sides.
    What begins as an attempt to {quest} soon uncovers {secret}.
    By {month} the {rival} has disappeared, leaving behind {secret}.
    {person}, a {trade} from {place}, {verb} the only witness.
    "{praise}." --_{newspaper}_
    "I have read few books about {theme} as honest as this." {person},_{newspaper}_
    {binding}, {pages} pages. First published by {publisher} in {year}.
    Shortlisted for the {prize} in {year}, it has since been translated into {dozen} languages.
    Readers who enjoyed_The {mood} {thing}_will feel at home among these people.
    Moving between {place} and {other_place}, the story circles {theme} without ever naming it.
    Told in {few} voices, over a single {season}, it asks who may forgive whom.
    A stranger steps off the boat carrying {secret}, and old alliances crack.
    Half the town hopes to {quest}; the other half would rather see {place} burn.
    No {genre} of recent years has handled {theme} so lightly.
    The last {dozen} pages overturn whatever the {rival} believed.
    Between chapters come recipes, court records and letters signed by {person}.
    As a columnist for the_{newspaper}_the author learnt to listen before writing.
    The author lives near {place} with {few} children and a nervous greyhound.
    Meanwhile, {person} {verb} a {trade} in {place} and sets off to {quest}.
    It is {month} {year}. Snow lies over {place}; somewhere a {trade} is burning {secret}.
    Funny... then frightening: the {rival} cannot decide whether to {quest} or run.
    Early drafts appeared in the_{newspaper}_under the name {person}.
    At the centre stands {first}, a {rival} with {dozen} enemies and nothing left to sell.
    {Place} itself becomes a character, from fish market to prison yard.
    Among the guests are {person}, who {verb} strangers, and a {trade} guarding {secret}.
    One telephone call in {year} changes what {person} remembers of {place}.
shorts: A novel of {theme}. | {binding}. | {pages} pp. | Set in {place}. | {publisher}, {year}.
    With a map of {place}. | First edition {year}. | Book club questions included. | "{praise}" | Unabridged.
    Text in English. | {prize} finalist. | {Praise}. | Cover by {person}. | For adult readers. | Begins in {month}.
    Read it slowly.
"""

_PICTURE_BOOK = """
fixed: animal | child | place | publisher | year | her
animal: hedgehog | elephant | otter | badger | penguin | goose | kitten | dragon | snail | giraffe | mole | bear cub
    owl | llama | crocodile | ladybird | whale | fox | donkey | tortoise | rabbit | octopus | pony | moth | hamster
    heron | yak
child: Poppy | Oskar | Mina | Ted | Bluebell | Jojo | Pip | Marnie | Luca | Freya | Wilbur | Dot | Anouk | Rafi | Suki
    Bo
feat: loses a red mitten | opens a bakery | flies to the moon in a teapot | cannot sleep | learns to swim
    finds an egg | builds a raft from spoons | hates birthdays | runs away to {place} | wins the vegetable race
    befriends the wind | wakes up tiny | starts a noisy band | forgets how to roar | plants a button
    hides in the library | counts to {dozen} | wants a pet human | paints the whole street {colour}
    shares the last pancake | meets the night bus | sulks
titles: {child} {surname} | {surname} the {animal} | {first}'s {village} {animal} | {child} and the {village} {animal}
    {child} {surname} {feat} | The {animal} of {village} | Goodnight, {village} {animal}
    {child}'s {colour} {animal} {feat} | {few} {colour} {animal}s in {village} | My {animal} {surname} {feat}
    Where Is {child} {surname}? (Lift-the-Flap) | {Animal} {surname} Counts to {dozen}: A Board Book
    Hush, {animal} {surname}, Hush | The Day {child} {surname} Came to Tea | {child} & {first} {surname}: Best Friends
    Big {animal}, Small {other_animal}, and {first} {surname} | Oh, {child} {surname}!
    Never Tickle an Angry {animal}, {first} {surname} | Touch and Feel with {child} and {surname} {animal}
extras+:
    : A Story About a {animal} Who {feat}
    (The Adventures of {child} and the {animal})
    : A Bedtime Book for Ages {years} and Up
    , with {dozen} Flaps to Lift and a Song by {person}
briefs: {child} {feat}. {mark}. | {mark} draws a {animal}. | By {mark}, ages {years} up. | {animal} fun from {mark}.
leads: {child} the {animal} {feat}. Words and pictures by {mark}.
    One {season} morning a {animal} {feat}, and {child} must help. Story: {mark}.
    {mark}'s rhyming tale of a {colour} {animal} who {feat}.
    What happens when {child} {feat}? {mark} tells small listeners all about it.
    "Please, may I keep the {animal}?" asks {child}. A bedtime book by {mark}, for ages {years} and up.
    Lift {dozen} flaps to see how {child} {feat}; illustrated in {colour} and {colour} by {mark}.
    {Animal}, {child}, and a bus to {place}: {mark} has written another giggling adventure.
    Poor {animal}! It {feat} on {her} birthday. {mark} paints in warm {colour} ink.
details: Then a grumpy {animal} {feat} and everything turns {colour}.
    Chunky pages stand up to sticky fingers, teeth and bath time.
    Each spread hides {few} {animal}s for sharp eyes to find.
    "My class asked for it {dozen} times in a row," reports {person}, a teacher from {place}.
    Rhymes are short enough for two-year-olds, jokes are sly enough for grandparents.
    {child} learns that being brave and being scared can happen at once.
    Winner of the {prize}, {year}.
    The endpapers fold out into a map of {place}.
    {few} friends, {dozen} biscuits, one enormous {animal}: trouble is certain.
    A gentle book about sharing, with sound buttons and a mirror at the back.
    Hardback, {dozen} pages, {dimensions}. {publisher}.
    Before sunset {child} {feat}, which nobody expected.
    The_{newspaper}_called it {praise}.
    Parents get a page of ideas for crafts, songs and rainy afternoons.
    Mother {Animal} packs {few} sandwiches and they set off for {place} by tandem.
    Up the hill, past the pond, over the {colour} bridge: where does {animal} sleep tonight?
    Every night brings a new visitor, from a {animal} to a sleepy {trade}.
shorts: Ages {years}-12. | Board book. | {dozen} pages. | {publisher}. | With stickers. | Squeaks! | Read aloud.
    Hardback. | Counting and colours. | Now with audio. | Lift the flaps. | {child} is back. | A giggle a page.
    Wipe clean.
"""


NOVEL = Kind("novel", parse_grammar(_NOVEL, base=PRINT), mark="person")
PICTURE_BOOK = Kind("picture book", parse_grammar(_PICTURE_BOOK, base=PRINT), mark="person")
