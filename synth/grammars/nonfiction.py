"""Grammars of books to learn from: studies and handbooks. Told apart by their author, as in `synth_books`."""

from synth.grammars.books import PRINT
from synth.text import Kind, parse_grammar

_STUDY = """
fixed: topic | field | place | publisher | pages | year | binding
topic: beekeeping | canal locks | the herring trade | courtly dance | Baltic trade | public libraries | tax law
    glaciers | medieval bells | land reform | Alpine botany | the postal service | typhoid | whaling | navigation
    free will | railway stations | migrating birds | silk weaving | the printing press | court portraits | moral luck
    the potato | dialects | lighthouses | early cinema | the wool guilds | volcanoes | cavalry horses | pottery
    shipwrecks | number theory | insurance | folk medicine | chess openings | coral reefs | garden cities | espionage
    cathedral roofs | emigration | parish music | the bicycle | coinage | drought | polar travel | school reform
    nursing | propaganda | bridges | juries | statistics | the tea trade | soil science | dreams | strikes and unions
    comets | sign language | desert farming | translation | prison architecture | monetary policy | bread
    mountain rescue | fungi | circuses
field: history | economics | anthropology | sociology | philosophy | natural history | geography | engineering
    medicine | political science | art history | linguistics | theology | law | ecology | psychology | archaeology
    mathematics
angle: ordinary people | forgotten women | tide tables | account books | court transcripts | {dozen} interviews
    ships' logs | private letters | parish registers | satellite images | newspaper cartoons | oral history
    recipe books | unpublished diaries | insurance claims | tombstones | school reports | police files | folk songs
claim: reached far beyond {place} | began earlier than textbooks admit | cost more lives than any battle
    made modern cities possible | depended on children's labour | was largely a matter of weather
    ended almost by accident | changed how families ate, married and mourned | owed everything to cheap paper
    survived {few} wars unharmed | still governs daily habits | was invented twice | never paid its way
titles: {surname} on {topic} | {surname}: {topic} | {surname} & {surname} on {topic} | {village} {topic}
    {Topic} in {village} | A Short History of {topic} in {village} | {Topic} and the Making of {village}
    The Politics of {topic} in {place}, {year}-2001 | Understanding {topic} After {surname}
    {Topic} in {place}, {year}-2001 | Essays on {topic} for {first} {surname}
    Principles of {topic}: {dozen} Cases from {village} | The {field} of {topic} in {village}
    Rethinking {topic}: {field} After {surname} | {Topic}: What {angle} from {village} Reveal
    {surname}'s Handbook of {topic} for Students of {field} | From {village} to {village}: {topic} Reconsidered
    The {surname} Companion to {topic} | Why Care About {topic}? Letters to {first} {surname}
    {first} {surname} on {topic} | The Truth About {topic} and {surname}
    {Topic} & {field}: The {surname} Lectures, {year} | {village} and {topic}, a Reader
extras+:
    : {angle}, {year}-1999
    : How {angle} Changed {field}
    ({publisher} Studies in {field})
    : A Reader with Commentary by {person}
    : Proceedings of the {place} Conference, {month} {year}
briefs: {mark} on {topic}. | Edited by {mark}. | {field} text by {mark}. | {mark}. {Topic}. {pages} p.
    Essays by {mark}.
leads: Drawing on {angle}, {mark} argues that {topic} {claim}.
    {mark} taught {field} at {place} for {dozen} years. This volume gathers lectures about {topic}.
    How did {topic} shape {place}? Historian {mark} looks for answers among {angle}.
    An introduction to {topic} for students of {field}, edited by {mark} and published by {publisher} in {year}.
    {Topic} {claim}, writes {mark}, whose evidence comes from {angle}.
    {dozen} essays on {topic}. Editor: {mark}. {Binding}, {pages} pages.
    Few subjects divide scholars of {field} like {topic}; {mark} offers a calm guide.
    "{praise}" wrote the_{newspaper}_about {mark}'s account of {topic}.
    {mark}, professor of {field}, spent {dozen} years in {place} collecting {angle}.
    Everything worth knowing about {topic} in {pages} pages, with {tens} maps and tables by {mark}.
    First published {year}: the classic treatment of {topic} by {mark}, now with a chapter concerning {place}.
    From {place} to {other_place}, {topic} {claim}. {mark} explains why in plain prose.
    Against fashionable {field}, {mark} defends an older view: {topic} {claim}.
details: Chapter {few} compares {place} with {other_place} in the years {year}–2003.
    Each chapter closes with discussion questions and {dozen} suggestions for further reading.
    The evidence comes from {angle}, most of it printed here for the first time.
    Critics in {field} have long held that {topic} {claim}; this book disagrees.
    "{praise}," wrote {person} in the_{newspaper}_.
    {binding}, {pages} pages, index, {tens} illustrations. {publisher}, {year}.
    Tables list prices, wages and rainfall in {place} from {year} onwards.
    A glossary of {dozen} terms and a chronology complete the text.
    New to this edition: {percent} pages on {topic} in {place}, revised maps, and an essay by {person}.
    Using {angle}, the author reconstructs one ordinary {month} in {place}.
    Contents: {topic}; {angle}; the case of {place}; {field} and its limits; notes.
    It shows that {topic} {claim}, and that rulers noticed too late.
    Written without jargon, it suits undergraduates and the curious traveller alike.
    The author received the {prize} for work on {topic} and reviews for the_{newspaper}_regularly.
    Appendix {few} reprints {angle} translated by {person}.
    Part one treats {place}, part two {other_place}, part three the long argument about {field}.
    Where earlier writers saw only decline... these pages find invention, luck and {angle}.
    Nearly {tens} percent of the sources had never left the archive at {place}.
    In {year}, {person} sailed from {place} with {dozen} crates; chapter {few} follows every one.
    Methods from {field} meet stories told by a {trade} and a {trade} in {place}.
    An online supplement offers {dozen} data sets, lecture slides and a test bank.
    A sober verdict on {person}, whose theory of {topic} ruled {field} until {year}.
    Lavish photographs by {person} record what remains around {place}.
    Debates over {angle} receive the attention they deserve.
    Exercises range from easy recall to open problems; solutions to odd numbers appear on page {pages}.
shorts: {pages} pages. | {publisher}, {year}. | Index and notes. | {Binding}. | {Field}. | {dozen} maps.
    Third printing. | Includes a bibliography. | With {tens} plates. | Foreword by {person}. | Subject: {topic}.
    For undergraduates. | Revised {year}. | A standard text. | Text in English. | "{praise}" | Covers {place}.
    Peer reviewed. | Solutions online.
"""

_HANDBOOK = """
fixed: craft | publisher | pages | year | binding
craft: sourdough | knitting | watercolour | woodcarving | vegetarian cooking | fly fishing | home wiring | bookkeeping
    yoga | soap making | container gardening | quilting | chess | job interviews | toddler sleep | Excel
    trail running | pruning | salsa dancing | public speaking | cheese making | calligraphy | meditation
    dog training | bicycle repair | pickling | stained glass | small-boat sailing | crochet | guitar | origami | debt
    mathematics revision | spreadsheets | soups | birdwatching | travel on a budget | screenwriting | cake decorating
    ceramics | first aid | chicken keeping | herbs | photography | marathon training | slow cookery
    conversational Greek | night photography | upholstery | candle making
goal: save hours every week | avoid the usual mistakes | finish a first project in one weekend
    understand why things fail | cook for a crowd | pass with confidence | repair instead of replacing
    start with almost no money | teach children | build steady habits | stop worrying about talent
    choose decent tools | work in small spaces | measure progress
item: step-by-step photographs | {dozen} full-size patterns | {tens} recipes | shopping lists | printable charts
    troubleshooting tables | {dozen} practice tests | weekly plans | a pull-out poster | stories from beginners
    a companion DVD | checklists | conversion tables | colour diagrams | {percent} exercises | cut-out templates
titles: {surname}'s {craft} | {first} {surname}'s {craft} | {village} {craft} | The {surname} Guide to {craft}
    {surname} on {craft} | {Craft} for Beginners, with {first} {surname} | The Complete {surname} Book of {craft}
    {Craft} Made Easy by {first} {surname} | {tens} Ways to Better {craft} at {village}
    Teach Yourself {craft} in {dozen} Days: The {surname} Course | Simple {craft} at {village}
    The {village} School of {craft} | The {surname} {craft} Workbook
    Secrets of {village} {craft}: {percent} Projects for Home and School | The Little {village} Book of {craft}
    Everyday {craft}: {dozen} Lessons from {village} | {Craft} the {surname} Way
    Learn {craft} with {first} {surname}! | Good Housework: {craft}, with {item} from {village}
    The {surname} {craft} Cookbook | {first} {surname}'s Weekend {craft} | Cool {craft} for {surname} People
    {surname} & {surname}: {craft} Step by Step
extras+:
    : {item}, {item} and More
    - {tens} Projects You Can Finish in a Weekend
    : How to {goal} and {goal}
    , Including {item}
    : A {trade}'s Guide for Busy People
briefs: {craft} with {mark}. | {mark} teaches {craft}. | By {mark}. {item}. | A {craft} course by {mark}.
leads: {mark} has taught {craft} in {place} since {since} and explains how to {goal}.
    {Craft} need not be hard: {mark} gives {item}, {item} and plenty of encouragement.
    Want to {goal}? {mark}, author of {few} books about {craft}, starts from scratch.
    With {item} and {item}, this book by {mark} turns {craft} into a pleasure.
    {tens} projects in {craft}, arranged by difficulty, from the workshop of {mark}.
    Learn {craft} at your own pace. {mark} wrote it for people who hate manuals.
    "{praise}": the_{newspaper}_on {mark} and {craft}.
    {Item}. {Item}. No nonsense. {mark} covers {craft} on {pages} pages.
    After {dozen} years as a {trade}, {mark} discovered {craft}; here are the lessons, for anyone hoping to {goal}.
    The {season} classes {mark} runs near {place} are always full. Now that {craft} course fits in a bag.
    Beginners will {goal}; experts will steal ideas. {Craft} according to {mark}, {publisher}, {year}.
details: Inside: {item}, {item}, and a frank chapter about what goes wrong.
    You will learn how to {goal} and how to {goal}.
    Every project lists time, cost and tools; most take under {tens} minutes.
    Lesson {few} tackles {craft} with nothing but kitchen equipment.
    A {trade} from {place} shows {her} own method, photographed in {dozen} stages.
    Margins carry tips sent in by readers of the_{newspaper}_.
    {binding}, {pages} pages, lies flat when open. {publisher}, {year}.
    "Finally... I could {goal}," says {person} of {place}.
    Difficult words are explained in a glossary of {percent} entries.
    The final part offers {item} for those who wish to {goal}.
    Measurements (pp. {dozen}–{tens}0) appear in both metric and imperial units.
    Suppliers in {place}, {place} and {place} are listed with telephone numbers.
    Updated for {year} with {item}.
    No previous experience is assumed, and no gadget costs more than {dozen} dollars.
    {person} tested each of the {tens} designs in a flat without a garden.
    Recipes and routines for {season} sit beside quick ideas for busy evenings.
    Along the way come jokes, confessions and {item}.
    If you can hold a pencil you can manage chapter {few}.
    Sections on safety, storage and cleaning were checked by a professional {trade}.
    Contains {item} drawn by {person}.
    The trick, it turns out, is to {goal} before you buy anything.
    Sidebars trace {craft} back to {place} around {since}.
    Keep it by the stove, on the bench, or folded open in the mud.
shorts: {pages} pages. | With {item}. | {binding}. | {publisher}, {year}. | Ages {years} and up. | {Craft}.
    Spiral bound. | Beginner level. | {dozen} projects. | "{praise}" | Metric and imperial. | Full colour.
    Learn to {goal}. | Now revised.
"""

STUDY = Kind("study", parse_grammar(_STUDY, base=PRINT), mark="person")
HANDBOOK = Kind("handbook", parse_grammar(_HANDBOOK, base=PRINT), mark="person")
