//! What looks personal: by its name, its format, its pattern, its description or its examples.

use serde_json::Value;

/// Why something looks personal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// The tag that would fit.
    pub(super) tag: &'static str,
    /// What tells.
    pub(super) sign: &'static str,
}

impl Look {
    /// What it looks like, in words.
    pub(super) fn what(&self) -> &'static str {
        match self.tag {
            "phone" => "a telephone number",
            "email" => "an email address",
            "address" => "a postal address",
            "card_fragment" => "a number of a payment card",
            "national_id" => "the number of an identity document or an account",
            "date_of_birth" => "a date of birth",
            "name" => "a person's name",
            _ => "personal data",
        }
    }
}

/// Words of names, in the languages of many descriptions. What stands first is taken first.
const NAMES: [(&str, &str); 9] = [
    ("text", "ip address, mac address"),
    ("email", "email, e mail, mail address, mailbox, correo, courriel, emailadresse, 電子郵件, 邮箱, メール"),
    (
        "phone",
        "phone, phones, mobile, msisdn, tel, telephone, cellphone, handphone, fax, whatsapp, contact number, \
         contact no, telefon, handynummer, telefone, telefono, teléfono, móvil, celular, téléphone, portable, \
         telepon, telefoonnummer, 电话, 手机, 電話, 携帯",
    ),
    (
        "date_of_birth",
        "dob, birth, birthday, birthdate, birthdays, geburtsdatum, geburtstag, naissance, nacimiento, nascimento, \
         nascita, 生日, 出生日期, 生年月日",
    ),
    (
        "card_fragment",
        "card, pan, last4, last four, card number, credit card, debit card, kreditkarte, kartennummer, carte \
         bancaire, tarjeta, cartão, 卡号",
    ),
    (
        "national_id",
        "nric, fin number, ssn, social security, sin number, passport, national id, identity number, identity card, \
         id number, id card, tax id, tax number, tin number, aadhaar, nino, mykad, iban, account number, bank \
         account, driving licence, driver license, drivers license, license number, personalausweis, steuernummer, \
         reisepass, passeport, pasaporte, passaporte, dni, nif, cpf, curp, codice fiscale, bsn, pesel, 身份证, 护照, \
         マイナンバー",
    ),
    (
        "address",
        "address, addresses, street, street name, postcode, postal code, zip, zip code, zipcode, house number, unit \
         number, adresse, anschrift, straße, strasse, plz, postleitzahl, hausnummer, rue, code postal, \
         dirección, direccion, calle, código postal, endereço, endereco, rua, cep, indirizzo, alamat, 地址, 住所, 邮编",
    ),
    (
        "name",
        "first name, firstname, last name, lastname, full name, fullname, middle name, given name, surname, family \
         name, maiden name, forename, nickname, legal name, customer name, contact name, recipient name, cardholder, \
         cardholder name, beneficiary, vorname, nachname, familienname, prenom, prénom, nom de famille, nombre, \
         apellido, apellidos, sobrenome, cognome, 姓名, 氏名",
    ),
    (
        "text",
        "gender, sex, religion, ethnicity, nationality, marital status, blood type, diagnosis, latitude, \
         longitude, salary, income, biometric, fingerprint",
    ),
];

/// What follows the name of personal data in the name of something about it.
const ABOUT: &str = "verified, count, counts, enabled, type, types, status, template, templates, format, required, sent, brand, kind, \
     preference, preferences, consent, valid, confirmed, scheme, version, url, uri";

/// Schemas whose `name` is that of a person.
const PEOPLE: &str = "account, applicant, author, beneficiary, buyer, client, contact, customer, driver, employee, guest, holder, \
     lead, member, owner, passenger, patient, payer, person, recipient, student, subscriber, tenant, user";

/// Phrases of descriptions.
const PHRASES: [(&str, &str); 7] = [
    ("email", "email address, e-mail address"),
    ("phone", "phone number, mobile number, telephone, whatsapp number"),
    ("date_of_birth", "date of birth, birth date, birthday"),
    ("card_fragment", "card number, digits of the card, digits of card"),
    ("national_id", "passport, identity card, identity number, social security number, nric, tax id"),
    ("address", "home address, postal address, delivery address, street address, billing address"),
    ("name", "full name, first name, last name, surname, given name, family name"),
];

/// Tells whether a value called `name`, in an object called `holder`, looks personal by what `schemas` say of it.
pub(super) fn looks_personal<'s>(
    name: Option<&str>,
    holder: Option<&str>,
    schemas: impl Iterator<Item = &'s Value>,
) -> Option<Look> {
    let schemas: Vec<_> = schemas.collect();
    let has_type = |wanted: &str| schemas.iter().any(|schema| schema.get("type").is_some_and(|own| own == wanted));
    let is_fixed = schemas.iter().any(|schema| schema.get("const").is_some() || schema.get("enum").is_some());
    if has_type("boolean") || is_fixed {
        return None;
    }
    let by_name = name.and_then(|name| called(name, holder)).map(|tag| Look { tag, sign: "its name" });
    // What holds other values is told by those.
    let holds_others = has_type("object") || has_type("array");
    let mut texts = schemas.iter().filter(|_| !holds_others);
    by_name.or_else(|| texts.find_map(|schema| by_content(schema)))
}

fn by_content(schema: &Value) -> Option<Look> {
    let text = |name: &str| schema.get(name).and_then(Value::as_str);
    let look = |sign| move |tag| Look { tag, sign };
    let by_format = text("format").and_then(formatted).map(look("its format"));
    let by_pattern = || text("pattern").and_then(patterned).map(look("its pattern"));
    let examples = schema.get("examples").and_then(Value::as_array).into_iter().flatten();
    let mut examples = examples.chain(schema.get("example")).chain(schema.get("default")).filter_map(Value::as_str);
    let mut by_example = || examples.find_map(exemplified).map(look("its example"));
    let by_description =
        || [text("title"), text("description")].into_iter().flatten().find_map(told).map(look("its description"));
    by_format.or_else(by_pattern).or_else(&mut by_example).or_else(by_description)
}

fn formatted(format: &str) -> Option<&'static str> {
    match format.to_ascii_lowercase().replace(['-', '_', ' '], "").as_str() {
        "email" | "idnemail" => Some("email"),
        "phone" | "tel" | "telephone" | "phonenumber" | "e164" | "mobile" => Some("phone"),
        "creditcard" | "cardnumber" | "pan" => Some("card_fragment"),
        "iban" | "ssn" | "nric" | "passport" => Some("national_id"),
        _ => None,
    }
}

/// Tells what kind of personal data is called `name`, in any style: `firstName`, `first_name`, `FIRST-NAME`.
fn called(name: &str, holder: Option<&str>) -> Option<&'static str> {
    let own = words(name);
    if own.last().is_some_and(|last| listed(ABOUT).any(|word| word == *last)) {
        return None;
    }
    let joined = own.concat();
    let has = |wanted: &str| {
        let wanted: Vec<_> = wanted.split(' ').collect();
        let is_one = |(own, wanted): (&String, &&str)| own == wanted || own.strip_suffix('s') == Some(wanted);
        own.windows(wanted.len()).any(|words| words.iter().zip(&wanted).all(is_one)) || joined == wanted.concat()
    };
    let found = NAMES.iter().find(|(_, names)| listed(names).any(has)).map(|(tag, _)| *tag);
    let is_person =
        || holder.is_some_and(|holder| words(holder).iter().any(|word| listed(PEOPLE).any(|person| person == *word)));
    found.or_else(|| (own == ["name"] && is_person()).then_some("name"))
}

fn listed(words: &str) -> impl Iterator<Item = &str> {
    words.split(", ")
}

/// Takes a name apart, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let characters: Vec<char> = name.chars().collect();
    for (at, &c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(at + 1);
        let is_capital = |c: char| c.is_uppercase();
        let begins = is_capital(c)
            && before.is_some_and(|before| !is_capital(before) || after.is_some_and(|after| after.is_lowercase()));
        if !c.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Tells what a regular expression of digits is for: a telephone number has a plus, a card 13 to 19 digits.
fn patterned(pattern: &str) -> Option<&'static str> {
    let plain = pattern.replace("\\d", "0").replace("[0-9]", "0");
    let is_digits = plain.chars().all(|c| c.is_ascii_digit() || "^$()?+\\-[]{},|:* .s".contains(c));
    if pattern.contains('@') && pattern.contains("\\.") {
        return Some("email");
    }
    if pattern.contains("[STFG") && plain.contains("0{7}") {
        return Some("national_id");
    }
    let has_plus = plain.contains("\\+") || plain.contains("[+]");
    let most = longest(&plain);
    match (is_digits, has_plus) {
        (true, true) if (7..=19).contains(&most) => Some("phone"),
        (true, false) if (13..=19).contains(&most) => Some("card_fragment"),
        _ => None,
    }
}

/// The most digits that a pattern of them matches, about.
fn longest(plain: &str) -> usize {
    let mut most = 0;
    let mut rest = plain;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit() || c == '[') {
        let unit = if rest[at..].starts_with('[') { rest[at..].find(']').unwrap_or(0) + 1 } else { 1 };
        let is_digit = rest[at..at + unit].contains(|c: char| c.is_ascii_digit());
        rest = &rest[at + unit..];
        let mut times = 1;
        if let Some((bounds, behind)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            times = bounds.rsplit(',').next().and_then(|most| most.parse().ok()).unwrap_or(1);
            rest = behind;
        }
        most += if is_digit { times } else { 0 };
    }
    most
}

fn exemplified(example: &str) -> Option<&'static str> {
    let digits: Vec<u32> = example.chars().filter_map(|c| c.to_digit(10)).collect();
    let is_number = example.chars().all(|c| c.is_ascii_digit() || " -()+./".contains(c));
    let is_email = example
        .split_once('@')
        .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.') && !example.contains(['/', ' ']));
    if is_email {
        return Some("email");
    }
    if is_number && example.starts_with('+') && (7..=15).contains(&digits.len()) {
        return Some("phone");
    }
    (is_number && (13..=19).contains(&digits.len()) && is_luhn(&digits)).then_some("card_fragment")
}

/// ISO/IEC 7812-1, annex B.
fn is_luhn(digits: &[u32]) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let digits = digits.iter().rev().enumerate();
    digits.map(|(at, digit)| if at % 2 == 1 { doubled(*digit) } else { *digit }).sum::<u32>() % 10 == 0
}

fn told(description: &str) -> Option<&'static str> {
    let description = description.to_lowercase();
    PHRASES.iter().find(|(_, phrases)| listed(phrases).any(|phrase| description.contains(phrase))).map(|(tag, _)| *tag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tag(name: &str) -> Option<&'static str> {
        called(name, None)
    }

    #[test]
    fn names_are_known_in_any_style() {
        for (name, wanted) in [
            ("phone", "phone"),
            ("homePhone", "phone"),
            ("MOBILE_NO", "phone"),
            ("tel", "phone"),
            ("e-mail", "email"),
            ("eMail", "email"),
            ("emailAddress", "email"),
            ("contact_email", "email"),
            ("mobiles", "phone"),
            ("firstName", "name"),
            ("first_name", "name"),
            ("first-name", "name"),
            ("FIRSTNAME", "name"),
            ("Surname", "name"),
            ("deliveryAddress", "address"),
            ("street", "address"),
            ("postcode", "address"),
            ("NRIC", "national_id"),
            ("passportNo", "national_id"),
            ("ssn", "national_id"),
            ("iban", "national_id"),
            ("dob", "date_of_birth"),
            ("dateOfBirth", "date_of_birth"),
            ("cardLast4", "card_fragment"),
            ("pan", "card_fragment"),
            ("Geburtsdatum", "date_of_birth"),
            ("手机", "phone"),
            ("IPAddress", "text"),
        ] {
            assert_eq!(tag(name), Some(wanted), "{name}");
        }
        for name in [
            "id",
            "hotel",
            "panel",
            "company",
            "discard",
            "telemetry",
            "emailVerified",
            "phone_count",
            "card_type",
            "named",
            "name",
            "expand",
            "streetlight",
            "postcodes_url",
            "cancelled",
            "excellent",
        ] {
            assert_eq!(tag(name), None, "{name}");
        }
        assert_eq!(called("name", Some("NewCustomer")), Some("name"));
        assert_eq!(called("name", Some("Product")), None);
    }

    #[test]
    fn contents_are_known_by_format_pattern_example_and_description() {
        for (schema, wanted) in [
            (json!({"format": "email"}), Some(("email", "its format"))),
            (json!({"format": "idn-email"}), Some(("email", "its format"))),
            (json!({"format": "phone"}), Some(("phone", "its format"))),
            (json!({"format": "uuid"}), None),
            (json!({"pattern": "^\\+?[0-9]{7,15}$"}), Some(("phone", "its pattern"))),
            (json!({"pattern": "^\\+[1-9]\\d{1,14}$"}), Some(("phone", "its pattern"))),
            (json!({"pattern": "^\\d{13,19}$"}), Some(("card_fragment", "its pattern"))),
            (json!({"pattern": "^[STFGM][0-9]{7}[A-Z]$"}), Some(("national_id", "its pattern"))),
            (json!({"pattern": "^[0-9]{6}$"}), None),
            (json!({"pattern": "^[a-z0-9-]{1,20}$"}), None),
            (json!({"example": "+65 9123 4567"}), Some(("phone", "its example"))),
            (json!({"examples": ["wei@example.sg"]}), Some(("email", "its example"))),
            (json!({"example": "4242 4242 4242 4242"}), Some(("card_fragment", "its example"))),
            (json!({"example": "4242 4242 4242 4241"}), None),
            (json!({"example": "2026-11-24"}), None),
            (json!({"description": "The shopper's date of birth."}), Some(("date_of_birth", "its description"))),
            (json!({"description": "How many there are."}), None),
            (json!({"format": "email", "type": "boolean"}), None),
            (json!({"description": "phone number", "enum": ["a"]}), None),
        ] {
            let found = looks_personal(Some("x"), None, [&schema].into_iter()).map(|look| (look.tag, look.sign));
            assert_eq!(found, wanted, "{schema}");
        }
    }
}
