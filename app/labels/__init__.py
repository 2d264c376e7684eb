"""What a label says, and how sheets of labels are drawn.

Knows: the payload of the QR code (pure), the readable text beside it, the layout of a sheet, and how to draw
it as SVG, PNG, PDF and ZPL, page by page.
Must never know: places, elections, holders, anything a sticker must not give away; HTTP; tables of the
database. A label identifies and proves nothing.
Its step of the walk: before it. A unit has to be called something before anybody can hand it over.
"""
