"""Grammars of music and films. A product is told apart by who made it: `{mark}` is a person."""

from synth.grammars.words import SHARED
from synth.text import Kind, parse_grammar

_MUSIC = """
fixed: instrument | style | place | year | label
instrument: accordion | cello | clarinet | banjo | harpsichord | pedal steel | tenor saxophone | sitar | kora
    Hammond organ | oboe | electric bass | fiddle | marimba | trumpet | theremin | nylon-string guitar | choir
    bagpipes | lute | vibraphone
style: bossa nova | bluegrass | fado | chamber pop | dub | hard bop | baroque | gospel | doom metal | ambient | zydeco
    ska | rockabilly | string quartets | sea shanties | polka | techno | klezmer | Delta blues | flamenco | lullabies
    soul | punk
label: Tin Roof | Nightjar | Velvet Hammer | Blue Pier | Slow River | Radio Marigold | Sparrow Tapes | Harmonium
    Gold Dust
mood: Empty | Neon | Slow | Midnight | Wild | Paper | Electric | Sunday | Second | Dusty | Sacred | Restless | Sugar
    Blue
noun: Motel | Heart | River | Telephone | Highway | Radio | Moon | Rain | Window | Circus | Fever | Train | Engine
    Rose | Ocean | Shoes | Kitchen | Thunder | Postcard | Harvest | Ballroom | Cathedral | Sparrow | Satellite
    Lemonade | Gravel
titles: {mark} | {surname} & {surname} | {first} {surname} | {mood} {surname} | {surname}'s {mood} {noun}
    {noun} of the {mood} {surname} | Live in {village} with {first} | {style} Favourites of {first} {surname}
    The {surname} {noun}s | Greatest Hits of {first} {surname} | {first} {surname}: {instrument} Concertos
    {style} for {instrument} and {surname} | Songs from {village} {noun} | The Best of {mark}
    {person} Plays {person} | At the {village} {noun} Club | {mood} {noun} for {first} {surname}
    {mark}: Complete {style} Recordings | {mood} {noun}: {dozen} {style} Classics from {village}
    {mood} {noun}, {mood} {noun} & {surname} (Deluxe Edition)
extras: [Vinyl] | (Audio CD) | [Import] | (Remastered) | , Vol. {years} | (Live) | [Single] | (2 CD Set) | ({year})
    [Explicit] | (180 Gram LP) | , with {person} | [CD/DVD] | (Limited Edition) | (Original Cast) | (Bonus Tracks)
    , Featuring {person} on {instrument} | : {dozen} {style} Classics from {place}, {since}-{year}
briefs: {style} by {mark}. | {mark}, {instrument}. | {mark} live, {year}. | {label} {year}: {mark}.
leads: {dozen} tracks of {style} led by {mark} on {instrument}, recorded in {place}, {year}.
    {mark} put down the {instrument} in {since} and came back with {style}. Here is the result.
    The {label} debut of {mark}: {style} for {instrument}, rain and one bad microphone.
    Taped live at {place} in {month} {year}, {mark} and a {instrument} keep the dancers awake.
    {mark} sings. {person} plays {instrument}. {Style} without apology, {label} {year}.
    Long out of print, this {style} session by {mark} returns with {few} unheard takes.
    "{praise}" (_{newspaper}_) -- {mark}'s {year} album for {instrument} and strings.
    Produced by {person}, the new {mark} record trades {style} for {other_style}.
    Track {few}, "{mood} {noun}", made {mark} famous from {place} to {other_place}.
details: Track listing: 1. {mood} {noun} 2. {noun} in {place} 3. {mood} {noun} 4. {noun} & {noun} 5. {first}'s {noun}.
    {person} adds {instrument}; {person} arranged the strings.
    Side two opens with "{mood} {noun}", {years} minutes of {style} built on a single chord.
    The booklet has lyrics, photographs from {place} and notes by {person}.
    Mastered from the original tapes on {label}, with {few} bonus tracks.
    The_{newspaper}_named it album of the month in {month} {year}.
    "{mood} {noun}" reached number {dozen} and stayed there for {few} weeks.
    Fans of {style} will recognise the {instrument} at once.
    Running time: {dozen} minutes. Pressed on {colour} vinyl.
    After a tour of {place} and {other_place}, the band split over money, {instrument}s and love.
    Part {style}, part {other_style}, it sounds like {season} in {place}.
    "{praise}." -- {person},_{newspaper}_
    Digitally remastered in {year}; includes the single "{noun} {noun}".
    A cover of {person}'s "{mood} {noun}" closes the set.
    Guests: {person} ({instrument}), {person} ({other_instrument}), the {place} Boys' Choir.
    It was cut in {few} nights above a {place} bakery.
    Compare the demo of "{noun}", hoarse and fast, with the version from {year}.
shorts: {dozen} tracks. | {label}, {year}. | Stereo. | {Style}. | Includes lyrics. | Live. | Digipak.
    Recorded in {place}. | 2 discs. | Remastered. | With {person}. | "{praise}" | Import. | Features {instrument}.
    {dozen} minutes. | Gatefold.
"""

_FILM = """
fixed: place | trade | genre | year | minutes | studio
minutes: 64..187
studio: Parallel Lamps | Grand Meridian | Ragdoll Pictures | Ninepin Films | Harbour Light | Cinema Sextant | Old Mill
genre: western | documentary | screwball comedy | heist movie | silent drama | musical | war film | science fiction
    thriller | monster movie | courtroom drama | nature series | biopic | spaghetti western | animated feature
    martial arts epic | ghost story | crime series | road movie | costume drama | yoga workout | concert film | noir
    slapstick short
mood: Crimson | Final | Savage | Quiet | Hidden | Double | Desert | Frozen | Deadly | Secret | Neon | Stolen | Lonely
    Eternal
noun: Horizon | Verdict | Reckoning | Sheriff | Casino | Encounter | Signal | Honeymoon | Planet | Jury | Gambit
    Safari | Empire | Vengeance | Carnival | Bullet | Castaway | Hostage | Robot | Cyclone | Diamond | Squadron
    Waltz | Duel
plot: a bank robbery that everyone regrets | {few} strangers in a snowed-in station | a stolen submarine
    a rigged election | the theft of a crown | a pianist with amnesia | a talking mule
    an asteroid nobody believes in | a lost platoon | revenge for {few} brothers | a wedding without a groom
    one honest policeman | a plague of moths | a false prophet | a chess match against death | {dozen} days adrift
    an orphanage for robots | a duel at dawn | a cursed film reel
titles: {surname} & {surname} | {surname}'s {noun} | {first} {surname} | {village} {noun} | {noun} in {village}
    {mood} {surname} | The {mood} {noun} of {village} | The {trade} from {village} | Night of the {mood} {surname}
    {first} {last}, {trade} | {mood} {noun}: {first} {surname}, Series {few} | Return of {first} {surname}
    {year}: The {surname} {noun} | {mark} Collection | Double Feature: {mood} {noun} / {noun} in {village}
    {mood} {noun} II: {first} {surname} Rides Again
extras: [DVD] | (Blu-ray) | [VHS] | (Widescreen) | : Season {years} | (Special Edition) | ({year}) | [Region 2]
    (Uncut) | [Import] | (Director's Cut) | , with {person} | (2-Disc Set) | [Digitally Restored] | (Collector's Tin)
    - {studio} | : A Story of {plot} | , Starring {person} and {person}
briefs: A {genre} by {mark}. | {mark} directs. {minutes} min. | {genre}, {year}. {mark}. | Dir. {mark}: {plot}.
leads: {mark} directs this {genre} about {plot}. {minutes} minutes, {year}.
    A {trade} from {place} walks into {plot}. {Genre}, directed by {mark}.
    Shot near {place} on a tiny budget, {mark}'s {genre} turns {plot} into poetry.
    {studio} presents {person} as a {trade} caught up in {plot}. Director: {mark}.
    Banned until {year}, the {genre} that made {mark} notorious: {plot}, told backwards.
    {person} and {person} star; {mark} wrote, cut and directed; {plot} does the rest.
    "{praise}" said the_{newspaper}_when {mark} premiered this {genre} at {place}.
    Forget what you know of the {genre}. {mark} begins with {plot} and a laughing {trade}.
    {few} episodes, {minutes} minutes, {plot}: television by {mark}.
details: {person} plays a {trade} whose luck ends in {place}.
    Extras: commentary by {person}, {dozen} deleted scenes, trailer, gallery.
    The restored print runs {minutes} minutes and includes a lost reel found at {place}.
    Soundtrack composed by {person}.
    "{praise}." --_{newspaper}_
    What starts with {plot} becomes a study of {few} people who cannot go home.
    Nominated for {few} prizes in {year}, it won best editing.
    Aspect ratio 1.{tens}:1. Subtitles in {few} languages. Region-free disc.
    Stunts in the {place} sequence were performed without nets.
    A {trade} with a grudge, a {other_trade} with a gun, and {plot}.
    Meanwhile... in {place}... {person} prepares {plot}.
    Cinematographer {person} lit every scene with candles or car lamps.
    Critics sneered in {year}; audiences queued round the block.
    Scene {dozen}, a single shot lasting {few} minutes, is still taught in schools.
    The making-of follows the crew through a {season} of floods, fever and strikes.
    Based on the novel_{mood} {noun}_by {person}.
    Disc two holds interviews with {person}, storyboards and an essay on the {genre}.
shorts: {minutes} minutes. | {studio}, {year}. | {Genre}. | Subtitled. | Black and white. | Region 1.
    Stars {person}. | 1 disc. | Not rated. | Restored. | Widescreen. | "{praise}" | Filmed in {place}. | In colour.
    {few} episodes. | With commentary.
"""


MUSIC = Kind("music", parse_grammar(_MUSIC, base=SHARED), mark="person")
FILM = Kind("film", parse_grammar(_FILM, base=SHARED), mark="person")
