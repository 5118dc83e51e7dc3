use super::Desired;
pub fn parse(_: &str) -> Option<Desired> {
    None
}
