"""Grammars of products sold in other languages: Portuguese above all, then Spanish, French, German and Japanese."""

from synth.grammars.words import SHARED
from synth.text import Kind, parse_grammar

_PORTUGUESE_BOOK = """
fixed: lugar | pessoa | assunto | ano | editora | her
lugar: Coimbra | Ouro Preto | Olinda | Évora | São Luís | Paraty | Macau | Luanda | Florianópolis | Belém | Setúbal
    Tavira
pessoa: uma professora viúva | um pescador sem barco | duas irmãs | um relojoeiro cego | um órfão teimoso
    a última tecelã | um padre apaixonado | uma médica exilada | um violeiro | três primos
    uma cozinheira de convento | um espião reformado
ação: procura o irmão desaparecido | herda uma casa assombrada | atravessa o sertão a pé
    guarda um segredo de família | abre uma livraria à beira-mar | recebe cartas de um morto
    aprende a ler aos sessenta anos | foge no Carnaval | perde tudo numa aposta | volta à aldeia depois da guerra
    descobre um mapa antigo | desafia o coronel da região
assunto: a imigração | o café | as marés | a saudade | o cinema mudo | a cozinha mineira | a pesca do bacalhau
    o azulejo | a capoeira | o fado | a seca | os caminhos de ferro | a língua tupi | os jardins | a censura
    as feiras livres
editora: Livraria do Cais | Editora Jacarandá | Casa da Figueira | Edições Maré Alta | Sabiá & Filhos
    Tipografia Aurora
coisa: Coração | Varanda | Memória | Estação | Sombra | Rio | Jardim | Silêncio | Maré | Janela | Canção | Ilha
    Farol
qual: Perdida | sem Fim | de Vidro | do Sertão | da Infância | de Março | Azul | dos Outros | ao Anoitecer | em Chamas
ano: 1938..2014
titles: {surname} de {lugar} | {coisa} de {surname} | {coisa} {qual} de {surname} | A {coisa} de {first} {surname}
    Dona {surname}, {coisa} {qual} | Contos de {first} {surname} | História d{assunto}, por {surname}
    Crônicas de {surname} em {lugar} | Memórias de {first} {surname} | Poesia Reunida de {first} {surname}, {ano}
    {coisa} e {coisa} de {surname} | {lugar} na {coisa} de {first} {surname}
extras: (Portuguese Edition) | (Em Português) | : Romance | - {editora} | , {ano} | - {years}ª Edição
    (Edição de Bolso) | , Vol. {years} | : Uma História de {lugar} | (Coleção {coisa} {qual})
    - Edição Revista e Ampliada
briefs: Romance de {mark}. | {mark} e {assunto}. | De {mark}, {ano}. | Contos de {mark}.
leads: Em {lugar}, {pessoa} {ação}. Romance de {mark}.
    {mark} conta a história de {pessoa} que {ação}.
    Ensaio de {mark} sobre {assunto}, com fotografias feitas em {lugar} e prefácio de {person}.
    Quando {pessoa} {ação}, nada em {lugar} volta a ser como antes. Texto integral de {mark}.
    Publicado por {editora} em {ano}, o livro mais conhecido de {mark} fala d{assunto}.
    {mark} nasceu em {lugar}. Aqui reúne {dozen} crônicas sobre {assunto} e outras paixões.
    Uma leitura para quem gosta d{assunto}: {mark} escreve com humor, dúvida e ternura.
details: Ao fundo está {assunto}, contada por quem a viveu em {lugar}.
    Numa noite de {ano}, {pessoa} {ação}, e a cidade inteira fica sabendo.
    "Um livro para ler devagar", escreveu {person} no_Jornal do Cais_.
    Edição cuidada, com notas, glossário e {dozen} ilustrações de {person}.
    A narrativa alterna entre {lugar} e {other_lugar}, sem nunca perder o fio.
    O autor recebeu {few} prêmios literários e vive perto de {lugar}.
    Entre receitas, orações e dívidas, {pessoa} {ação}.
    Traduzido para {dozen} idiomas; adaptado ao teatro em {ano}.
    São {percent} páginas de prosa clara, às vezes cruel, sobre {assunto}.
    Inclui entrevista inédita, cronologia e índice remissivo.
    Não há heróis aqui: só gente, chuva e {assunto}.
shorts: Em português. | {editora}, {ano}. | {percent} páginas. | Capa dura. | Edição de bolso. | Romance. | Ilustrado.
    Brochura. | Poesia e prosa. | Esgotado há anos. | Prefácio de {person}.
"""
_PORTUGUESE_GOODS = """
fixed: coisa | cor | material | brand | cidade | anos
coisa: chaleira | panela de pressão | toalha de mesa | mochila | rede de descanso | cafeteira | luminária
    cadeira dobrável | caneca | cinto | almofada | garrafa térmica | tábua de corte | lanterna | fruteira | pipa
    bola de vôlei | avental | violão
cor: vermelha | azul-marinho | verde-água | cor de mel | branca | grafite | lilás | amarela | terracota | prateada
material: algodão cru | aço inox | cerâmica de {cidade} | couro ecológico | bambu | alumínio fundido | cortiça | sisal
    pinho
cidade: Caruaru | Barcelos | Blumenau | Guimarães | Franca | Caldas da Rainha | Petrópolis | Novo Hamburgo | Viseu
    Belém
uso: o café da manhã | viagens longas | o quintal | presentes de última hora | quem mora em espaço pequeno
    festas juninas | acampar com crianças | o dia a dia na cozinha | a praia | estudantes | varandas ao sol
    o trabalho em casa
vantagem: alças reforçadas | fecho com vedação | costura dupla | pés antiderrapantes | tampa de vidro
    bolso escondido | cabo frio | acabamento feito à mão | forro lavável | bico que não pinga
    regulagem em {few} posições
anos: 2..12
titles: {coisa} {mark} | {coisa} {cor} {brand} {mark} | {coisa} {brand} {cor} em {material}
    {coisa} {brand} para {uso}, {cor} | {brand} {mark} {coisa} {cor} | {coisa} {brand} com {vantagem} ({mark})
    Kit {years} Peças: {coisa} {brand} {cor} | {coisa} artesanal de {cidade} ({mark})
extras: , {cor} | , {material} | - {years} Litros | , {inch} cm | com {vantagem} | - Garantia de {anos} Anos
    (Feito em {cidade})
briefs: {coisa} {cor}, {mark}. | Modelo {mark}, {material}. | {brand} {mark} com {vantagem}.
leads: {coisa} {cor} em {material}, modelo {mark}, pensada para {uso}.
    A {brand} {mark} tem {vantagem} e mede {inch} x {tall} cm.
    Para {uso}: {coisa} {brand} de {material}. Referência {mark}.
    Feita em {cidade} desde {since}, a {coisa} {mark} traz {vantagem}.
    Chega de improviso! Com {vantagem}, o modelo {mark} resolve {uso}.
    Código {mark}. Peso: {percent}0 g. Cor {cor}. {Material} de primeira.
details: Acompanha manual, {vantagem} e garantia de {anos} anos.
    Não risca, não enferruja e pode ir à máquina até {tens} °C.
    "Comprei {few} para dar no Natal", diz {person}, de {cidade}.
    Ideal para {uso} ou para {uso}.
    Também disponível na versão {cor}, com {vantagem}.
    Cada peça em {material} é numerada pelo artesão {person}.
    Dimensões: {inch} cm de altura, {tall} cm de largura.
    Suporta {tens} kg; limpe apenas com pano úmido.
    Desenhada em {cidade}, testada durante {dozen} meses, aprovada por avós exigentes.
shorts: {material}. | Cor: {cor}. | Feito em {cidade}. | {anos} anos de garantia. | {inch} cm. | Produto novo.
    Lavável.
"""
_SPANISH = """
fixed: tema | lugar
tema: la vendimia | el exilio | los trenes nocturnos | la paella | el ajedrez | las abuelas | la sequía | el flamenco
    la pintura | los faros | el silencio | la educación | los volcanes | el tango | las mariposas | la memoria
lugar: Sevilla | Cuzco | Mérida | Oaxaca | Rosario | Cádiz | Asunción | Medellín | Bilbao | La Habana | Córdoba
figura: una bibliotecaria | el hijo del alcalde | dos contrabandistas | la niña muda | un médico rural
    la última reina
titles: {surname} de {lugar} | El libro de {surname}: {tema} | {surname} y {tema} | Cuentos de {surname} en {lugar}
    La señora {surname} de {lugar} | {tema} según {first} {surname} | Adiós, {first} {surname}
    Cartas a {first} {surname} | {tema} para {surname} | Manual de {surname}: {tema}
extras: (Spanish Edition) | , {since} | (Edición Bilingüe) | : Novela | , Tomo {years} | - Colección {lugar}
    (Tapa Blanda)
briefs: Novela de {mark}. | {mark} sobre {tema}. | {mark}: {tema}.
leads: {mark} viaja a {lugar} para escribir sobre {tema}.
    Novela de {mark}: en {lugar}, {figura} cambia su vida por {tema}.
    ¿Qué une a {figura} con {tema}? {mark} responde desde {lugar}.
    Con {dozen} láminas y un prólogo de {person}, {mark} presenta {tema} a lectores jóvenes.
details: Aquí {figura} encuentra una carta fechada en {since} y nadie duerme.
    Incluye ejercicios, mapas de {lugar} y un glosario de {percent} términos.
    "Prosa limpia, corazón enorme", dijo {person} en_La Hoja del Domingo_.
    A través de {tema}, la autora dibuja un país entero.
    Edición de {since}, {percent} páginas, encuadernación rústica.
    Nació en {lugar}, estudió música y ganó {few} premios de poesía.
    Mientras tanto, {figura} sueña con volver a {other_lugar}.
shorts: En español. | {percent} páginas. | Tapa dura. | Texto íntegro. | Con ilustraciones. | Novela breve.
"""
_FRENCH = """
fixed: sujet | ville
sujet: la tapisserie | les marchés | l'hiver | le cidre | la résistance | les jardins ouvriers | la mer
    le théâtre de rue | l'enfance | les phares bretons | le pain | l'architecture romane | les chats | le jazz
    la botanique
ville: Honfleur | Besançon | Arles | Liège | Québec | Saint-Malo | Lausanne | Annecy | Nîmes | Dakar | Orléans
qui: une vieille éditrice | le fils du boulanger | trois sœurs | un déserteur | la maîtresse d'école | un faussaire
titles: {surname} et {sujet} | Un été avec {first} {surname} | Lettres à {first} {surname}
    Le goût de {sujet}, par {surname} | Guide de {ville} selon {surname} | {ville}, roman de {first} {surname}
    {surname} à {ville} | Contes de {surname} et de {ville}
extras: (French Edition) | , {since} | : Roman | , Tome {years} | (Broché) | - Édition Illustrée
    (Collection {ville})
briefs: Roman de {mark}. | {mark} et {sujet}. | Par {mark}, {since}.
leads: À {ville}, {qui} découvre {sujet}. Un roman de {mark}.
    {mark} raconte {sujet} à travers {dozen} portraits, de {ville} à {other_ville}.
    Beau livre: {mark} photographie {sujet} près de {ville} depuis {since}.
    Pourquoi {sujet}? Réponse drôle et savante de {mark}, préfacée par {person}.
details: L'hiver venu, {qui} quitte {ville} avec une valise et {few} secrets.
    "Une merveille de précision", selon {person},_Le Courrier du Quai_.
    Relié, {percent} pages, {dozen} planches en couleurs.
    Né en {since}, l'auteur enseigne le dessin à {ville}.
    Chaque chapitre s'achève sur une recette, un plan ou une chanson.
    On y croise {qui}, un notaire bègue et beaucoup de pluie.
    Au cœur du récit: {sujet}, et ce que l'on n'ose pas dire à table.
shorts: En français. | {percent} pages. | Broché. | Texte intégral. | Illustré. | Nouvelle édition.
"""
_GERMAN = """
fixed: thema | ort
thema: Bergbau | Streuobstwiesen | Kachelöfen | die Hanse | Märchen | Brückenbau | Kirchenorgeln | Vogelzug
    Wanderwege | Fachwerk | Kaffeehäuser | die Straßenbahn | Schäferei | Glasbläser | Träume
ort: Lübeck | Görlitz | Tübingen | Graz | Zürich | Würzburg | Köln | Bozen | Münster | Füssen | Weimar
wer: eine Hebamme | der Uhrmacher | zwei Brüder | ein stiller Lehrer | die Müllerin | ein Grenzgänger
titles: {surname} in {ort} | {thema} bei {surname} | Die Frau {surname} aus {ort} | Das große {surname}-Buch: {thema}
    Nächte mit {first} {surname} | Wörterbuch {thema} nach {surname} | {ort} für {surname}, ein Spaziergang
    Kleine Geschichte: {thema} und {surname}
extras: (German Edition) | , {since} | : Roman | , Band {years} | (Gebundene Ausgabe) | - Neu Bearbeitet
    ({ort}er Hefte)
briefs: Roman von {mark}. | {mark}: {thema}. | Von {mark}, {since}.
leads: {mark} führt durch {thema} in {ort}, mit {dozen} Karten.
    In {ort} findet {wer} {since} einen Brief. Roman von {mark}.
    Von {mark}: alles über {thema}, vom Anfang bis zur Gegenwart.
    {dozen} Erzählungen, gesammelt von {mark} zwischen {ort} und {other_ort}.
details: Dann verschwindet {wer}, und ganz {ort} schweigt.
    "Genau, witzig, überraschend", urteilt {person} im_Abendblatt für Leser_.
    Gebunden, {percent} Seiten, Lesebändchen, {dozen} Abbildungen.
    Der Autor lebt seit {since} als Übersetzer in {ort}.
    Ein Kapitel gilt den Frauen, die man in {ort} gern vergisst.
    Übungen mit Lösungen eignen sich für Schule und Selbststudium.
    Wer {thema} liebt, wird hier manches neu sehen.
shorts: Deutsche Ausgabe. | {percent} Seiten. | Gebunden. | Mit Register. | Zweisprachig. | Erstmals {since}.
"""
_JAPANESE = """
fixed: kana
titles: {surname} {kana} | {kana}: {other_kana} ({first} {surname}) | {first} {surname} no {kana}
    Kokoro to Tabi: {surname}, {kana} | {kana} {mark} | {kana} [Japanese Import] {mark}
extras: [Import] | , Vol. {years} | (Japan Edition) | , {since} | - {kana} | (Obi Strip Included)
briefs: {kana} by {mark}. | {mark}: {kana}.
leads: {kana}, sung by {mark}; imported from {place}. Japanese text: {other_kana}。
    Photographs by {mark} with poems in Japanese ({kana}).
    {mark} reads {kana} aloud on {few} discs.
details: The booklet prints {kana} beside an English version by {person}.
    Released in {month} with a paper sleeve showing {kana}.
    Track {few} is called {kana}, track {years} {other_kana}.
    Text runs from right to left; {percent} pages; ink by {person}.
    A favourite of {person}, who calls it {praise}.
    Made in {place} on paper from {place}.
shorts: {kana}。 | Import. | {since}. | Japanese only. | With obi.
"""

PORTUGUESE_BOOK = Kind("Portuguese book", parse_grammar(_PORTUGUESE_BOOK, base=SHARED), mark="person", language="pt")
PORTUGUESE_GOODS = Kind("Portuguese goods", parse_grammar(_PORTUGUESE_GOODS, base=SHARED), mark="code", language="pt")
SPANISH = Kind("Spanish book", parse_grammar(_SPANISH, base=SHARED), mark="person", language="es")
FRENCH = Kind("French book", parse_grammar(_FRENCH, base=SHARED), mark="person", language="fr")
GERMAN = Kind("German book", parse_grammar(_GERMAN, base=SHARED), mark="person", language="de")
JAPANESE = Kind("Japanese import", parse_grammar(_JAPANESE, base=SHARED), mark="person")
