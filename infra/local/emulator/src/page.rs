//! Pages of a list. A token names the last key seen, so that a page goes on where the one before ended although the list
//! changed between two calls.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// One page, and the token of the next.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on the page.
    pub items: Vec<T>,
    /// The token of the page that follows; `None` on the last one.
    pub next: Option<String>,
}

/// At most `limit` of `items`, which come with their keys: those that follow the key that `token` names. Where that key
/// has gone, the page begins with the first greater one. `None` when no page has given the token.
pub fn page<T>(items: impl IntoIterator<Item = (String, T)>, token: Option<&str>, limit: usize) -> Option<Page<T>> {
    let items: Vec<(String, T)> = items.into_iter().collect();
    let start = match token {
        None => 0,
        Some(token) => {
            let last = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
            match items.iter().position(|(key, _)| *key == last) {
                Some(at) => at + 1,
                None => items.iter().position(|(key, _)| *key > last).unwrap_or(items.len()),
            }
        }
    };
    let end = start.saturating_add(limit).min(items.len());
    let next = (start < end && end < items.len()).then(|| URL_SAFE_NO_PAD.encode(&items[end - 1].0));
    let items = items.into_iter().take(end).skip(start).map(|(_, item)| item).collect();
    Some(Page { items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(keys: &[&str], token: Option<&str>) -> Option<Page<String>> {
        page(keys.iter().map(|key| ((*key).to_owned(), format!("item {key}"))), token, 2)
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let first = ask(&["a", "b", "c"], None).unwrap();
        assert_eq!(first.items, ["item a", "item b"]);
        let second = ask(&["a", "b", "c"], first.next.as_deref()).unwrap();
        assert_eq!((second.items.as_slice(), second.next), (&["item c".to_owned()][..], None));
        assert_eq!(ask(&["a", "b"], None).unwrap().next, None, "a full last page has none after it");
    }

    #[test]
    fn a_page_goes_on_although_the_list_has_changed() {
        let token = ask(&["a", "b", "d"], None).unwrap().next;
        assert_eq!(ask(&["b", "c", "d"], token.as_deref()).unwrap().items, ["item c", "item d"]);
        assert_eq!(ask(&["a", "c"], token.as_deref()).unwrap().items, ["item c"], "the last key seen is gone");
        let descending = ask(&["c", "b", "a"], None).unwrap().next;
        assert_eq!(ask(&["c", "b", "a"], descending.as_deref()).unwrap().items, ["item a"]);
    }

    #[test]
    fn a_token_of_somebody_else_is_none() {
        assert_eq!(ask(&["a"], Some("%%")), None);
    }
}
