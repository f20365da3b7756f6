"""Names of fields as providers and shops write them: what they have is hidden, or is shown."""

HIDDEN = """
    card.number cardNumber card_number CardNumber card-no cardno card_num pan PAN
    primaryAccountNumber primary_account_number payment_card.pan fpan dpan account.number
    accountNumber account_number bankAccountNumber acct_no AcctNo accountNo kontonummer
    cvc cvc2 cvv cvv2 cvn card_code cardCode security_code card.code verificationCode
    verification_value card_verification_value csc cvcCode
    exp exp_month expMonth exp_year expiryDate expiry expiry_date expiration expirationDate
    card.expiration_month cardExpiryMonth ExpDate valid_thru validThru card.expires expire_month
    card.exp
    cardholder card_holder cardholderName cardHolder holderName holder_name name_on_card
    nameOnCard cardOwner card_owner CardHolderName card.name card_name ownerName
    track1 track_2 track2Data magstripe emv_data pin_block pinBlock pin
    iban IBAN creditor_iban bban account_iban bic swift swiftCode bic_code routing_number
    routingNumber sort_code sortCode bsb bsb_number ifsc clabe aba_number transit_number
    institution_number blz bankleitzahl vpa upi_id upi.vpa payer_vpa payerVpa pix_key pixKey
    chavePix chave_pix wallet_address
    first_name firstName last_name lastName given_name givenName family_name familyName surname
    middle_name middleName full_name fullName customer.name customerName customer_name buyer.name
    buyerName payer.name payer_name payerName shopperName shopper.name consumer_name client.name
    clientName recipient.name recipientName receiver_name sender.name sender_name beneficiary_name
    contact.name contactName billing.name billing_details.name shipping.name billTo.name
    ship_to.name user.name username user_name login nickname maiden_name patronymic person.name
    guest_name donor_name donorName member_name patient_name student_name debtor.name
    creditor.name
    card_digits ccNumber cc_no creditCardNumber exp_mm accNo account_nr bankAccount bank_account
    forename fname lname name.first name.last buyer.name_last consignee contactPerson delivery_name
    payee.name tel_no telNumber mobileNo cell_no addr addr1 BILL_ADDR ipAddr clientip remote_ip
    identityCard idCard id_card docNumber license_plate taxpayer_id insurance_number
    signing_key encryptionKey csrf
    vorname nachname kundenname geburtsdatum geburtstag geburtsort telefon telefonnummer handy
    mobil anschrift adresse strasse straße hausnummer plz postleitzahl ort stadt
    prenom nom_client nom prénom adresse_facturation code_postal ville telephone téléphone
    date_naissance
    nombre apellido apellidos nombre_cliente correo correo_electronico telefono teléfono direccion
    dirección domicilio calle codigo_postal ciudad fecha_nacimiento dni nie nif rfc curp cuit cuil
    rut cedula documento
    nome sobrenome nome_cliente endereco endereço logradouro cep cidade cpf cnpj rg celular
    data_nascimento
    cognome indirizzo codice_fiscale partita_iva naam achternaam voornaam adres postcode
    woonplaats bsn
    imie nazwisko pesel nip ulica miasto kod_pocztowy telefon_kontaktowy
    inn INN snils passport_number passport_series familia imya otchestvo fio FIO telefon
    adres_dostavki pasport фамилия имя отчество фио телефон адрес паспорт инн снилс почта эл_почта
    дата_рождения
    aadhaar aadhar pan_number pan_card gstin voter_id
    ssn social_security_number socialSecurityNumber sin nin national_id nationalId
    nationalIdentityNumber tax_id taxId tin vat_number vatId personal_number personnummer
    personalId id_number idNumber identity_number document_number driver_license
    drivers_license_number driving_licence license_number passport passportNumber visa_number nric
    email Email e-mail eMail e_mail customer_email payer.email_address emailAddress receipt_email
    mail customer.mail billingEmail contact_email paypal_email receiver_email business_email
    phone phoneNumber phone_number phone_no tel telephone mobile mobileNumber mobile_phone cell
    cellphone msisdn fax whatsapp contact_number contactNumber contact
    address address1 address_line_1 addressLine1 line1 line2 line_1 street streetName street1
    house_number houseNumber houseNumberOrName house apartment apt building city town locality
    suburb district zip zipCode zip_code postal_code postalCode postcode postalArea admin_area_2
    ship_to.city addressee geo.lat geo.lng lat lng latitude longitude lon gps gps_coordinates
    location.coordinates geolocation
    dob date_of_birth dateOfBirth birth_date birthDate birthday birth_place placeOfBirth gender
    sex nationality citizenship religion
    ip ip_address ipAddress clientIp client_ip customer_ip remote_ip remoteAddr remote_addr
    shopperIP x_forwarded_for x-forwarded-for user_agent userAgent browserUserAgent
    browser.user_agent http_user_agent browser_info browserInfo browser device_fingerprint
    deviceFingerprint device.fingerprint device_id deviceId fingerprint cookie cookies
    accept_header acceptHeader device_data imei mac_address macAddress udid idfa gaid
    advertising_id ssid referer referrer
    token card_token cardToken access_token accessToken refresh_token id_token paymentToken
    payment_method_token paymentMethodToken network_token client_secret clientSecret api_key
    apiKey apikey x-api-key auth_header password passwd pwd passcode passphrase secret secret_key
    private_key privateKey signature_key credential credentials bearer otp one_time_password
    pin_code magic_link magicLink hosted_invoice_url invoice_pdf receipt_url verification_url
    session_token csrf_token nonce payment_method_nonce jwt login_url reset_url unsubscribe_url
    cavv CAVV xid authentication_value authenticationValue pares pareq creq cres cryptogram
    onlinePaymentCryptogram tavv ucaf
    authorization_code authorizationCode auth_code authCode approval_code approvalCode
    stored_credential_token recurringDetailReference
"""

SHOWN = """
    amount amount_received amount_refunded currency status state type event event_type eventType
    object id order_id orderId order_number orderNumber merchant_order_id merchantReference
    reference payment_id paymentId payment_intent transaction_id transactionId charge charge_id
    refund_id refundId dispute_id invoice invoice_id subscription subscription_id customer_id
    customerId customer customer.id merchant_id merchantId shop_id account account_id accountId
    terminal_id terminalId created created_at createdAt updated_at timestamp time date livemode
    test mode decline_code declineCode failure_code failureCode failure_message failure_reason
    failureReason error_code errorCode error_message error.message reason reason_code reasonCode
    response_code responseCode result_code resultCode resultMessage message description
    statement_descriptor country country_code card.country brand card.brand card_type cardType
    network last4 lastFour last_four card_last4 bin funding scheme payment_method paymentMethod
    payment_method_type paymentMethodType method card.last4 cardBin bank bank_name bankName issuer
    issuer_name product product_name product.name items quantity sku price price.currency tax
    tax_amount taxAmount shipping_amount shipping fee fees net gross total subtotal discount
    coupon plan plan.name locale language success paid refunded captured capture due_date
    period_start expires_at expiresAt expired is_expired link_expires_at version api_version
    apiVersion attempt attempts sequence retries webhook_id notification_type pspReference
    eventCode installments settlement payout payout_id balance exchange_rate risk_score
    three_d_secure.version eci avs_result avs_check cvc_check cvcResult cvv_result address_check
    address_line1_check postal_code_check zip_check verification.status liability_shift
    reason_text category metadata.order note name company recipient shipping_method carrier
    tracking_number company_name merchant_name merchantName store_name event_name shop.name
    business_name app_name intent initiator actor provider channel source source.type source.id
    is_test purchase_units sale_id resource resource_type page opinion shipment pinned
    participants publication topic tipping recipient_id capacity velocity entity_type entity
    multiplicity simplicity trip_id zipped expedited device_type city_tax token_type email_sent
    email_verified phone_verified customer_locale payment_date expiration_reason hint paragraph
    postage contact_count invoice_number invoice_url_count contract_id attention session_id
    authorization.id checkout_url dsTransID shopper_reference warehouse_id initial_amount
    prepaid_card hotel_number hotel_notes model_name tariff_name channel_name terminal_name
    mobile_notification template_number success_count cancel_no_show
    contactless mobilepay called_at cost_center market_cap regexp marital_status phone_country
    email_type expires_in
"""
