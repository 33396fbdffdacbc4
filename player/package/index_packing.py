"""`sr/index.bin`: the JSON of an index, deflated with a dictionary of what most of them say.

    "PSRI" u8 version = 1, raw deflate (RFC 1951) with DICTIONARY

A short film pays for each byte of its index, of which half is the names of fields. Who inflates
without preset dictionaries puts the dictionary in front, as a stored block of the stream, and drops
it again behind. Another dictionary would be another version.
"""

import zlib

from player.package.limits import MAX_INDEX_BYTES
from player.package.package_error import PackageError

_MAGIC = b"PSRI\1"
# What is likely stands last, where deflate names it in the fewest bits.
DICTIONARY = (
    b'"gaps":[,"full_range":true,"method":"stdo","jstdo","dydca"}],"segments":[0,"name":"wdsr","espcn"'
    b',"units":3,"units":2,"exits":[2,8]},"shipped":true}]},"scale":1.5,"scale":4,"scale":3,"hr":['
    b'"cell":[16,16],"cell":[12,12],"router":{"bytes":[,"preset":"balanced","preset":"best","revision":2'
    b',"colour":["smpte170m"],"colour":["bt470bg","smpte170m"],"colour":["bt709","iec61966-2-1"'
    b'"colour":["bt2020nc","bt2020","smpte2084"],"timescale":90000,"timescale":48000,"timescale":44100'
    b'"timescale":12800,"timescale":16000,"timescale":24000,"timescale":30000,"timescale":60000'
    b',"ticks":[120120,[192512,[176128,"frames":[96,[188,[172,[120,[100,[240,"hash":"=="},"audio":{'
    b'"bytes":[726,"routes":{"bytes":["hash":""},"weights":{"bytes":["hash":"=","networks":[{"widths":'
    b'[[8,3]],"exits":[2,3]}]},[[16,4]],"exits":[2,4],[[16,6]],"exits":[2,6]'
    b'{"schema":"pocketsr.index/2","version":"0.1.0","scale":2,"lr":[1920,1080],"lr":[640,360],"lr":['
    b'1280,720],"id":"","preset":"fast","video":{"bytes":[776,"hash":"","timescale":15360,"ticks":['
    b'61440,"frames":[120,30]},"manifests":"=","signature":["=","=="]}'
)


def pack_index(text: bytes) -> bytes:
    """The file of an index's JSON."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zdict=DICTIONARY)
    return _MAGIC + packer.compress(text) + packer.flush()


def unpack_index(data: bytes) -> bytes:
    """The JSON in a file; raises PackageError where it is damaged, or more than an index may be."""
    if not data.startswith(_MAGIC):
        known = data.startswith(_MAGIC[:-1])
        raise PackageError("is newer than this player; update PocketSR" if known else "is no index")
    stream = zlib.decompressobj(-zlib.MAX_WBITS, DICTIONARY)
    try:
        text = stream.decompress(data[len(_MAGIC) :], MAX_INDEX_BYTES + 1)
    except zlib.error as error:
        raise PackageError(f"is damaged ({error}); fetch it again") from error
    if len(text) > MAX_INDEX_BYTES:
        raise PackageError(f"holds more than {MAX_INDEX_BYTES} bytes")
    if not stream.eof or stream.unused_data:
        raise PackageError("is damaged, its length is wrong; fetch it again")
    return text
