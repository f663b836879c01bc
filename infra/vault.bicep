// The vault: the key that the factory calls the app with, secrets of sources, the encryption key.
param name string
param isPrivate bool
@description('Keeps a deleted vault for 90 days, whoever asks; a customer key needs it.')
param purgeProtection bool
param customerKey bool
param encryptionPrincipalId string
param workspaceId string
param location string
param tags object

var access = loadJsonContent('access.json')

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: purgeProtection ? 90 : 7
    enablePurgeProtection: purgeProtection ? true : null
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
    }
  }
}

resource key 'Microsoft.KeyVault/vaults/keys@2024-11-01' = if (customerKey) {
  parent: vault
  name: 'landfall'
  tags: tags
  properties: {
    kty: 'RSA'
    keySize: 3072
    keyOps: [
      'wrapKey'
      'unwrapKey'
    ]
    rotationPolicy: {
      lifetimeActions: [
        {
          trigger: {
            timeAfterCreate: 'P1Y'
          }
          action: {
            type: 'rotate'
          }
        }
      ]
      attributes: {
        expiryTime: 'P2Y'
      }
    }
  }
}

// Here and not in access.bicep: what is encrypted with the key needs the role before it exists.
resource encryptionAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for row in (customerKey ? access.encryption : []): {
    scope: vault
    name: guid(vault.id, encryptionPrincipalId, access.roles[row.role])
    properties: {
      principalId: encryptionPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        access.roles[row.role]
      )
    }
  }
]

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'landfall'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'AuditEvent'
        enabled: true
      }
    ]
  }
}

output id string = vault.id
output name string = vault.name
// Without a slash at its end, for paths are appended to it.
output url string = 'https://${vault.name}${environment().suffixes.keyvaultDns}'
output keyName string = customerKey ? key.name : ''
// Without a version, so that a rotated key is picked up.
output keyUri string = customerKey ? key!.properties.keyUri : ''
