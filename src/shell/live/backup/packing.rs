//! Compression, on the way to a file and back.

use std::io::{self, BufReader, Read, Write};

use crate::core::desired::Compression;

/// As the zstd program does unless told otherwise: a good ratio at the speed of a disk.
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 6;
const BUFFER_BYTES: usize = 256 << 10;

/// Compresses what is written to it.
pub enum Packer<W: Write> {
    Zstd(zstd::stream::write::Encoder<'static, W>),
    Gzip(flate2::write::GzEncoder<W>),
    None(W),
}

impl<W: Write> Packer<W> {
    /// # Errors
    /// When zstd finds no memory.
    pub fn new(compression: Compression, to: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(to, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => Self::Gzip(flate2::write::GzEncoder::new(to, flate2::Compression::new(GZIP_LEVEL))),
            Compression::None => Self::None(to),
        })
    }

    /// Writes the end, and gives back what was written to.
    ///
    /// # Errors
    /// When that fails.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::None(to) => Ok(to),
        }
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::None(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::None(to) => to.flush(),
        }
    }
}

/// Reads a snapshot whose compression is told by its first bytes, not by its name.
pub struct Unpacked {
    pub compression: Compression,
    reader: Box<dyn Read + Send>,
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

impl Unpacked {
    /// # Errors
    /// When nothing can be read.
    pub fn new(mut from: impl Read + Send + 'static) -> io::Result<Self> {
        let mut first = Vec::new();
        from.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut first)?;
        let compression = if first == ZSTD_MAGIC {
            Compression::Zstd
        } else if first.starts_with(&GZIP_MAGIC) {
            Compression::Gzip
        } else {
            Compression::None
        };
        let whole = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(first).chain(from));
        let reader: Box<dyn Read + Send> = match compression {
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(whole)?),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
            Compression::None => Box::new(whole),
        };
        Ok(Self { compression, reader })
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_whatever_its_name() {
        for compression in [Compression::Zstd, Compression::Gzip, Compression::None] {
            let mut packer = Packer::new(compression, Vec::new()).expect("there is memory");
            packer.write_all(&[3; 100_000]).expect("a Vec takes every write");
            let packed = packer.finish().expect("a Vec takes every write");
            let mut unpacked = Unpacked::new(io::Cursor::new(packed)).expect("it can be read");
            let mut bytes = Vec::new();
            unpacked.read_to_end(&mut bytes).expect("it is whole");
            assert_eq!((unpacked.compression, bytes.as_slice()), (compression, &[3; 100_000][..]));
        }
    }
}
