"""The names of fields to hide: what providers and shops call personal data.

They are data for :mod:`redaction`, which finds a name however it is written: ``card_number`` also
matches ``cardNumber`` and ``card.number``. Accents do not count.
"""

from __future__ import annotations

CARDS = """
    card_number card_no card_num card_digits pan fpan dpan primary_account_number track_1 track_2
    track_3 track_data magstripe emv pin cvc cvv cvn csc cryptogram security_code card_code
    verification_code verification_value card_exp card_expire exp_date exp_month exp_year
    expire_month expire_year expiry expiration valid_thru card_name name_on_card card_owner holder
    cavv tavv ucaf authentication_value pareq auth_code authorization_code approval_code
"""
BANKS = """
    iban bban bic swift account_number account_no account_nr account_name acct_no acct_number
    bank_account bank_identifier routing_number sort_code transit_number institution_number
    branch_code bsb ifsc clabe aba_number blz bankleitzahl kontonummer kontoinhaber vpa upi_id
    pix_key chave_pix
"""
SECRETS = """
    secret password passwd pwd passcode passphrase token credential api_key access_key private_key
    encryption_key master_key signing_key csrf signature signature_key hmac jwt bearer otp nonce
    cookie auth_header recurring_detail_reference hosted_invoice_url invoice_pdf receipt_url
    magic_link login_url reset_url verification_url unsubscribe_url
"""
PEOPLE = """
    first_name last_name given_name family_name middle_name maiden_name full_name surname forename
    name_first name_middle name_last patronymic account_owner attendee_name author_name
    beneficiary_name billing_name buyer_name client_name consumer_name contact_name contact_person
    consignee delivery_name creditor_name customer_name debtor_name details_name donor_name
    employee_name guest_name member_name owner_name passenger_name patient_name payee_name
    payer_name person_name profile_name receiver_name recipient_name sender_name shipping_name
    shopper_name nickname payer_document customer_document source_name student_name subscriber_name
    to_name traveler_name user_name login birth dob gender nationality citizenship religion email
    mail phone mobile_number msisdn whatsapp contact_number telefax fax_number
"""
PLACES = """
    address addressee addr street line1 line2 line3 address_line house_number apartment postal
    postcode zip_code city_name locality suburb admin_area latitude longitude gps coordinate
    geolocation
"""
DOCUMENTS = """
    passport ssn social_security identification identity_card identity_number id_number national_id
    personal_id personal_number document_id document_no document_number doc_number license_number
    licence_number license_plate licence_plate insurance_number taxpayer driver_license
    driving_license driving_licence visa_number nric voter_id tax_id tax_number vat_id vat_number
    aadhaar aadhar gstin
"""
DEVICES = """
    ip ipv4 ipv6 ip_addr client_ip customer_ip remote_ip remote_addr forwarded_for user_agent
    browser accept_header referer referrer fingerprint device_id device_data imei udid idfa gaid
    advertising_id ssid mac_address
"""
OTHER_LANGUAGES = """
    vorname nachname kundenname geburt geboren telefon handynummer mobilnummer anschrift adresse
    strasse hausnummer kontonr ansprechpartner plz postleitzahl wohnort steuernummer ausweisnummer
    prenom nom_client naissance ville_client
    nombre_cliente nombre_completo apellido correo direccion domicilio ciudad nacimiento cedula
    documento dni nie nif rfc curp cuit cuil rut
    nome_cliente nome_completo sobrenome endereco logradouro bairro cep cidade cpf cnpj rg celular
    nascimento
    cognome indirizzo codice_fiscale partita_iva nascita
    voornaam achternaam woonplaats geboorte bsn
    imie nazwisko pesel nip ulica miasto pocztowy
    personnummer fodselsnummer fornavn etternavn efternamn soyad tckn eposta
    familiya imya otchestvo fio adres pasport pochta snils
    фамилия отчество фио телефон адрес паспорт почта рождения улица снилс
    姓名 氏名 住所 地址 電話 电话 手机 邮箱 メール 身份证
"""
#: Anywhere in a name. One of fewer than five letters must be a whole word.
NAMES = tuple(
    " ".join([CARDS, BANKS, SECRETS, PEOPLE, PLACES, DOCUMENTS, DEVICES, OTHER_LANGUAGES]).split()
)

LAST_WORDS = """
    city town district zip house building apt lat lng lon exp tel fax cell mobile contact sex
    tel_no tel_number mobile_no cell_no cell_number cc_no cc_num cc_number acc_no acc_number
    exp_mm exp_yy fname lname id_card
    sin tin nin inn xid pares creq cres
    handy mobil ort stadt nom ville nombre calle nome naam familia gorod
    имя инн город
"""
#: Only as the last words of a name: ``city`` in ``billing_city``, but not in ``city_tax``.
ENDINGS = tuple(LAST_WORDS.split())

REMARKS = """
    check result verified sent status state type required match matched count length valid present
    provided reason error country score enabled supported
"""
#: The last word of a name whose value is a statement about a hidden value: ``cvc_check``.
STATEMENTS = tuple(REMARKS.split())
