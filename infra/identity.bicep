// User-assigned identities: of the app, and of what encrypts with the customer's key.
param appIdentityName string
param encryptionIdentityName string
param customerKey bool
param location string
param tags object

resource app 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: appIdentityName
  location: location
  tags: tags
}

resource encryption 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = if (customerKey) {
  name: encryptionIdentityName
  location: location
  tags: tags
}

output appId string = app.id
output appClientId string = app.properties.clientId
output appPrincipalId string = app.properties.principalId
output encryptionId string = customerKey ? encryption!.id : ''
output encryptionPrincipalId string = customerKey ? encryption!.properties.principalId : ''
