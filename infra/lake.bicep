// The lake: hierarchical namespace, tokens only, retention by container, soft delete, audit log.
param name string
param redundancy string
param isPrivate bool
@description('Days that data is kept, by container.')
param retentionDays object
param customerKey bool
param encryptionIdentityId string
param keyName string
param vaultUrl string
param accessConnectorId string
param workspaceId string
param location string
param tags object

// The product's containers, then what comes from partners and what Event Grid could not deliver.
var containerNames = [
  'landing'
  'raw'
  'quarantine'
  'bronze'
  'silver'
  'gold'
  'manifest'
  'partners'
  'deadletter'
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: redundancy
  }
  identity: customerKey
    ? {
        type: 'UserAssigned'
        userAssignedIdentities: {
          '${encryptionIdentityId}': {}
        }
      }
    : null
  properties: {
    isHnsEnabled: true
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate ? 'Disabled' : 'Enabled'
    networkAcls: {
      bypass: 'AzureServices' // Event Grid writes its dead letters as a trusted service
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      resourceAccessRules: isPrivate
        ? [
            {
              tenantId: tenant().tenantId
              resourceId: accessConnectorId
            }
          ]
        : []
    }
    sasPolicy: {
      sasExpirationPeriod: '1.00:00:00'
      expirationAction: 'Log'
    }
    encryption: {
      requireInfrastructureEncryption: true
      keySource: customerKey ? 'Microsoft.Keyvault' : 'Microsoft.Storage'
      keyvaultproperties: customerKey
        ? {
            keyname: keyName
            keyvaulturi: vaultUrl
          }
        : null
      identity: customerKey
        ? {
            userAssignedIdentity: encryptionIdentityId
          }
        : null
      services: {
        blob: {
          enabled: true
        }
      }
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = [
  for container in containerNames: {
    parent: blobs
    name: container
    properties: {
      publicAccess: 'None'
    }
  }
]

// landing has no rule: what stands there has not been taken in, and that is an alert's business.
// manifest has none but for what is of a moment, and silver and gold are vacuumed by landfall_maintain.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'raw'
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['raw/']
            }
            actions: {
              baseBlob: {
                tierToCool: {
                  daysAfterModificationGreaterThan: 30
                }
                delete: {
                  daysAfterModificationGreaterThan: retentionDays.raw
                }
              }
            }
          }
        }
        {
          name: 'bronze'
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['bronze/']
            }
            actions: {
              baseBlob: {
                tierToCool: {
                  daysAfterModificationGreaterThan: 60
                }
                delete: {
                  daysAfterModificationGreaterThan: retentionDays.bronze
                }
              }
            }
          }
        }
        {
          name: 'quarantine'
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['quarantine/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: retentionDays.quarantine
                }
              }
            }
          }
        }
        {
          name: 'passing'
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['partners/', 'deadletter/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: retentionDays.passing
                }
              }
            }
          }
        }
        {
          // What failed extractions left, and answers to requests, whose keys are free after 7 days.
          name: 'leftovers'
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: ['blockBlob']
              prefixMatch: ['raw/_extracts/', 'manifest/requests/', 'manifest/console/links/']
            }
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: 8
                }
              }
            }
          }
        }
      ]
    }
  }
}

// Reads are not logged: they are most of the requests, and each line costs.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: blobs
  name: 'landfall'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output blobUrl string = account.properties.primaryEndpoints.blob
output queueUrl string = account.properties.primaryEndpoints.queue
output dfsUrl string = account.properties.primaryEndpoints.dfs
output containers array = containerNames
