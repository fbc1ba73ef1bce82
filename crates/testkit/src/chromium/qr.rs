//! What a phone's camera reads from the screen.

use rqrr::PreparedImage;

use super::Chromium;

/// Width, height and the brightness of each pixel. From the bytes themselves, since a page's content policy may forbid whatever has an
/// address.
const LOOK: &str = "
    const bytes = Uint8Array.from(atob(arguments_[0]), letter => letter.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
    canvas.drawImage(picture, 0, 0);
    const { data, width, height } = canvas.getImageData(0, 0, picture.width, picture.height);
    const pixels = [];
    for (let at = 0; at < data.length; at += 4)
        pixels.push(Math.round((data[at] + data[at + 1] + data[at + 2]) / 3));
    return [width, height, pixels];";

impl Chromium {
    /// What the QR code says that is shown in the first such thing, as it is shown.
    ///
    /// # Panics
    /// If none can be read there, or more than one.
    #[must_use]
    pub fn read_qr(&self, selector: &str) -> String {
        let picture = self.ask(&format!("/element/{}/screenshot", self.at(selector)));
        let seen = self.run_async(LOOK, &[picture]);
        let size = |at: usize| usize::try_from(seen[at].as_u64().unwrap()).unwrap();
        let (width, height) = (size(0), size(1));
        let pixels: Vec<u8> = serde_json::from_value(seen[2].clone()).unwrap();
        let mut image =
            PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
        let codes = image.detect_grids();
        assert_eq!(codes.len(), 1, "QR codes in {selector}, {width}×{height}");
        let (_, text) = codes[0].decode().unwrap();
        text
    }
}
